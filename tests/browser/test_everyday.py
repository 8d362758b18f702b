"""What an operator does every day, from the first click to what the database says after the last."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from playwright.sync_api import expect

from participants.demo import demo_orders, seed_stock
from participants.inventory.models import Stock
from participants.inventory.services import take_stock
from participants.orders.models import Order
from participants.payments.models import Charge
from sagas.engine.batch import stepping, verdict
from sagas.models import Batch, Saga
from tests.admin import pages, scenes
from tests.admin.scenes import fresh
from tests.browser.window import Window

#: In a thread: what interrupts Playwright leaves it unable to go on, or to end. A process that ends is replaced.
pytestmark = pytest.mark.timeout(600, method="thread")

ARTICLE = "MUG-BLUE"

Windows = Callable[..., Window]
People = Callable[..., User]
Work = Callable[[], None]


@pytest.fixture
def shelves(server: str) -> None:
    """The shop is open."""
    seed_stock()


def order(number: str, *, rollback: bool = True, **changes: object) -> Saga:
    """An order of two mugs."""
    lines = [{"sku": ARTICLE, "quantity": 2, "price": 1250}]
    context = demo_orders()[1] | {"number": number, "card": "tok_4242", "lines": lines} | changes
    saga: Saga = Saga.objects.start("order_processing", context=context, idempotency_key=number, rollback=rollback)
    return saga


def test_find__by_the_order_s_number(operator: Window, shelves: None, work: Work) -> None:
    sagas = {number: order(number) for number in ("S-1001", "S-1002", "S-1003")}
    work()

    operator.page.locator("#content-main").get_by_role("link", name="Orders", exact=True).last.click()
    operator.page.get_by_role("textbox", name="Search").fill("S-1002")
    operator.page.keyboard.press("Enter")
    operator.link("S-1002").click()
    panel = operator.page.get_by_role("region", name="Sagas")
    expect(panel).to_contain_text("completed")
    panel.get_by_role("link").click()

    expect(operator.title).to_contain_text(sagas["S-1002"].ulid)
    operator.read("completed", "5/5", "S-1002")
    assert Order.objects.get(number="S-1002").saga == sagas["S-1002"].pk


def test_why__from_the_overview_to_the_sentence_and_its_button(operator: Window) -> None:
    held, _other = scenes.debt(), scenes.completed()

    operator.page.locator("#content-main").get_by_role("link", name="Sagas", exact=True).first.click()
    operator.page.get_by_role("link", name="need attention").click()
    expect(operator.page.locator("#result_list tbody tr")).to_have_count(1)
    operator.page.get_by_role("link", name=held.ulid).click()

    operator.read("Needs attention", "create_order", "the order is locked")


def test_retry__what_failed_once_its_cause_is_mended(operator: Window, shelves: None, work: Work) -> None:
    take_stock({ARTICLE: 1})
    saga = order("S-1", rollback=False)
    work()
    operator.open_saga(saga)
    operator.read("insufficient_stock", "fewer than 2 in stock")

    take_stock({ARTICLE: 10})
    operator.press("Retry …")
    operator.read("Runs again", "reserve_inventory")
    operator.give_reason("a delivery came")
    operator.press("Retry 1 saga")

    operator.told("1 saga")
    work()
    operator.page.reload()
    operator.read("5/5", "a delivery came", "ines")
    assert fresh(saga).is_completed
    assert LogEntry.objects.get().change_message == "Retry: a delivery came"
    assert Stock.objects.get(pk=ARTICLE).on_hand == 8


def test_edit_and_retry__the_card_of_a_payment(operator: Window, shelves: None, work: Work) -> None:
    saga = order("S-1", card="tok_0002", rollback=False)
    work()
    operator.open_saga(saga)
    operator.read("card_declined", "the bank said no")

    operator.step_button("charge_payment", "Run with input …").click()
    field = operator.page.get_by_label("Input")
    shown = json.loads(field.input_value())
    assert shown["card"] == "[redacted]"
    field.fill("{ not JSON")
    operator.give_reason("the customer gave another card")
    operator.press("Run charge_payment with this input")
    operator.read("This is not JSON")
    field.fill(json.dumps(shown | {"card": "tok_5555"}))
    operator.press("Run charge_payment with this input")

    operator.told("step charge_payment has another input")
    work()
    operator.page.reload()
    operator.read("5/5", "the customer gave another card")
    assert Charge.objects.get().card == "tok_5555"


def test_compensate__after_a_look_at_the_plan(operator: Window, shelves: None, work: Work) -> None:
    before = Stock.objects.get(pk=ARTICLE).on_hand
    saga = order("S-1", card="tok_0002", rollback=False)
    work()
    operator.open_saga(saga)

    operator.press("Compensate …")
    expect(operator.page.locator(".saga-plan ol > li")).to_contain_text(["reserve_inventory", "create_order"])
    operator.read("Not undone", "validate_address", "reads only")
    operator.press("Compensate 1 saga")
    operator.read("Say why")
    assert fresh(saga).state == "failed"
    operator.give_reason("the customer called")
    operator.press("Compensate 1 saga")

    operator.told("1 saga")
    work()
    operator.page.reload()
    operator.read("compensated", "the customer called")
    assert fresh(saga).is_compensated
    assert Order.objects.get().state == "cancelled"
    stock = Stock.objects.get(pk=ARTICLE)
    assert (stock.on_hand, stock.reserved) == (before, 0)


def test_moved__what_changed_since_the_look_is_left_alone(operator: Window) -> None:
    saga = scenes.started()
    operator.open_saga(saga)
    operator.press("Compensate …")
    operator.give_reason("the customer called")

    saga.pause(reason="stock-taking", actor="boris")
    operator.press("Compensate 1 saga")

    operator.told("1 saga changed since you looked, and was left alone; look again")
    operator.read("paused", "boris", "stock-taking")
    assert fresh(saga).state == "started"
    assert not LogEntry.objects.exists()
    operator.press("Compensate …")
    operator.give_reason("the customer called")
    operator.press("Compensate 1 saga")
    operator.told("1 saga")
    assert fresh(saga).state == "compensating"


def test_approve__takes_two_people_of_the_group(window: Windows, person: People) -> None:
    rights = ("view_saga", "approve_saga")
    saga = scenes.awaiting_undo(people=2, approvers="finance")
    ann, boris, carl = window(), window(), window()
    for one, name, group in ((ann, "ann", "finance"), (boris, "boris", "finance"), (carl, "carl", "sales")):
        one.enter(person(name, *rights, group=group))
        one.open_saga(saga)

    ann.read("waits for approval by finance")
    ann.step_button("charge", "Approve …").click()
    ann.give_reason("a known customer")
    ann.press("Approve charge")
    ann.told("step charge is approved")
    expect(ann.step_button("charge", "Approve …")).to_have_count(0)
    expect(carl.step_button("charge", "Approve …")).to_have_count(0)

    assert fresh(saga).state == "compensating"
    boris.step_button("charge", "Approve …").click()
    boris.give_reason("so be it")
    boris.press("Approve charge")
    boris.told("step charge is approved")

    scenes.finish(saga)
    boris.page.reload()
    boris.read("compensated", "a known customer", "so be it")
    assert fresh(saga).is_compensated
    entries = saga.history.exclude(actor="").order_by("seq")
    assert list(entries.values_list("actor", "reason")) == [("ann", "a known customer"), ("boris", "so be it")]


def test_drip__stops_itself_when_the_first_ten_fail_again(
    operator: Window, shelves: None, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (stepping, verdict):
        monkeypatch.setattr(module, "WATCH", timedelta(milliseconds=50))
    sagas = [order(f"S-{number}", card="tok_0002", rollback=False) for number in range(13)]
    work()
    operator.page.goto(f"{pages.LIST}?state=failed")

    operator.page.get_by_label("All 13 that match:").select_option("Retry")
    operator.press("Act on all of them …")
    operator.read("The 13 sagas that match", "When 10 in a row fail again or are refused, it stops itself.")
    operator.give_reason("the bank says that it is back")
    operator.page.get_by_label("Sagas per second").fill("50")
    operator.press("Retry: all 13")
    operator.told("Workers begin with it within seconds")
    work()

    # The page looks for itself what has become of it.
    operator.read("It has stopped itself", "It went wrong ten times in a row")
    batch = Batch.objects.get()
    assert (batch.state, batch.acted, batch.failed, batch.reason) == (
        "stopped",
        10,
        10,
        "the bank says that it is back",
    )
    assert [fresh(saga).history.filter(kind="retry").count() for saga in sagas] == [1] * 10 + [0] * 3
    operator.page.get_by_label("Reason (optional)").fill("it is not")
    operator.press("Cancel the batch")
    operator.read("cancelled", "it is not")
    assert Batch.objects.get().state == "cancelled"


def test_debt__is_resolved_with_evidence(operator: Window) -> None:
    saga = scenes.debt()
    operator.open_saga(saga)

    operator.step_button("create_order", "Resolve …").click()
    operator.page.get_by_role("radio", name="It is done").check()
    operator.give_reason("cancelled by hand, ticket 4711")
    operator.press("Resolve create_order")

    operator.told("step create_order is resolved")
    operator.read("compensated", "cancelled by hand, ticket 4711")
    assert fresh(saga).is_compensated
    assert fresh(saga).attention == ""


def test_viewer__has_no_buttons_and_is_refused_by_address(window: Windows, person: People) -> None:
    saga = scenes.debt()
    viewer = window()
    viewer.enter(person("otto", "view_saga"))

    viewer.page.goto(pages.LIST)
    expect(viewer.page.locator("#result_list tbody tr")).to_have_count(1)
    expect(viewer.page.locator("select[name=action], input[name=_selected_action]")).to_have_count(0)
    viewer.open_saga(saga)
    viewer.read("Needs attention", "the order is locked")
    expect(viewer.page.locator("#content-main").get_by_role("button")).to_have_count(0)

    for verb in (*pages.VERBS, *pages.STEP_VERBS):
        viewer.is_refused(lambda verb=verb: viewer.page.goto(pages.act(verb)))
    viewer.is_refused(lambda: viewer.page.goto("/admin/sagas/saga/add/"))
    assert fresh(saga).revision == saga.revision
