"""Every saga's page and what it asks, light and dark, narrow and wide: as `test_every_page`, which is long enough."""

from __future__ import annotations

import pytest

from tests.admin import pages, scenes
from tests.browser.tour import Tour

#: Confirmations, by the verb's button on a saga in that plight.
VERBS = {"Compensate …": scenes.started, "Retry …": scenes.failed, "Pause …": scenes.waiting, "Restart …": scenes.ended}
STEP_VERBS = {
    "Run with input …": (scenes.failed, "charge_payment"),
    "Skip …": (scenes.debt, "create_order"),
    "Resolve …": (scenes.debt, "create_order"),
    "Assign …": (scenes.debt, "create_order"),
    "Approve …": (scenes.awaiting_approval, "charge"),
}
PLIGHTS = list(scenes.PLIGHTS)
#: Long enough to be worth their preparation, short enough to end in time on a busy machine.
GROUP = 5


#: In a thread: what interrupts Playwright leaves it unable to go on, or to end. A process that ends is replaced.
pytestmark = pytest.mark.timeout(600, method="thread")


@pytest.mark.parametrize("first", range(0, len(PLIGHTS), GROUP), ids=lambda first: PLIGHTS[first])
def test_pages__of_sagas_in_every_plight(tour: Tour, first: int) -> None:
    for name in PLIGHTS[first : first + GROUP]:
        tour.visit(pages.page(scenes.PLIGHTS[name]()))

    assert not tour.wrong, tour.report()


def test_pages__of_families_lists_and_locks(tour: Tour) -> None:
    for saga in (*scenes.family(), scenes.opened_out(40, doubtful=2, done=10), scenes.locked()):
        tour.visit(pages.page(saga))

    assert not tour.wrong, tour.report()


def test_pages__that_ask_about_a_saga(tour: Tour) -> None:
    window = tour.window
    for name, make in VERBS.items():
        window.open_saga(make())
        tour.follow(name, window.button(name).click)
    tour.follow("no reason", window.page.locator(".submit-row input").click)
    window.read("Say why")

    assert not tour.wrong, tour.report()


def test_pages__that_ask_about_a_step(tour: Tour) -> None:
    for name, (make, step) in STEP_VERBS.items():
        tour.window.open_saga(make())
        tour.follow(name, tour.window.step_button(step, name).click)

    assert not tour.wrong, tour.report()


def test_pages__that_reveal(tour: Tour) -> None:
    window = tour.window
    window.open_saga(scenes.secret())
    tour.follow("asks", window.button("Show what is hidden …").click)
    window.give_reason("an audit")
    tour.follow("shows", window.page.locator(".submit-row input").click)

    assert not tour.wrong, tour.report()
