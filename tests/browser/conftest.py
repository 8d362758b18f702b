"""Fixtures of the browser's tests: one Chromium for all of them, windows for people, a worker when it is wanted."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from sagas.engine.rollup import horizon
from sagas.store import orm
from tests.browser.tour import Tour
from tests.browser.window import Window
from tests.services import chromium
from tests.worker.conftest import QUICK, Crew

PASSWORD = "a good password"
_OPENED = pytest.StashKey[list[Window]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """A test that has failed shows what was to be seen in its windows."""
    report = yield
    if call.when == "call" and report.failed:
        for window in item.stash.get(_OPENED, []):
            # A browser that does not answer is reason enough to have failed.
            with suppress(PlaywrightError):
                report.sections.append((f"window at {window.page.url}", window.text()))
    return report


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One for all tests; each opens windows of its own. It ends before the tests of other directories begin: Playwright
    keeps an event loop in this thread, in which Django refuses to touch the database."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        found = playwright.chromium.launch(executable_path=chromium.program(), args=chromium.flags())
        yield found
        found.close()


@pytest.fixture
def server(live_server: Any, settings: Any) -> Iterator[str]:
    """The address of the project, served from this process."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.SAGAS = {**settings.SAGAS, **QUICK}
    orm.forget()
    yield live_server.url
    orm.forget()


@pytest.fixture(autouse=True)
def complete_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting waits for nobody: what a thread before this test has left open writes nothing any more."""
    monkeypatch.setattr(horizon, "_writers", lambda alias: frozenset())


@pytest.fixture
def person(server: str) -> Callable[..., User]:
    """Makes somebody who may do that to sagas ("all": everything), with a password."""

    def make(name: str, *rights: str, group: str = "") -> User:
        user = User.objects.create_user(name, password=PASSWORD, is_staff=True, is_superuser="all" in rights)
        user.user_permissions.add(*Permission.objects.filter(codename__in=rights))
        if group:
            user.groups.add(Group.objects.get_or_create(name=group)[0])
        return user

    return make


@pytest.fixture
def window(browser: Browser, server: str, request: pytest.FixtureRequest) -> Iterator[Callable[..., Window]]:
    """Opens watched windows. They are closed after the test, which fails if a page has complained."""
    opened = request.node.stash[_OPENED] = []

    def make(**options: Any) -> Window:
        opened.append(Window.open(browser, server, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def operator(window: Callable[..., Window], person: Callable[..., User]) -> Window:
    """The window of somebody who may do everything, logged in."""
    found = window()
    person("ines", "all")
    found.log_in("ines", PASSWORD)
    return found


@pytest.fixture
def tour(window: Callable[..., Window], person: Callable[..., User]) -> Tour:
    """As a superuser."""
    found = window()
    found.enter(person("ines", "all"))
    return Tour(found)


@pytest.fixture
def work(server: str) -> Iterator[Callable[[], None]]:
    """Lets a worker run until nothing is due."""
    crew = Crew()

    def burst() -> None:
        assert crew.burst() == 0

    yield burst
    crew.stop_all()
