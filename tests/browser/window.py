"""A browser's window that somebody works in, and that is watched: whatever a page complains of is trouble."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Response, Route, expect

from sagas.admin import zone
from sagas.models import Saga
from tests.admin import pages

#: Milliseconds that a page may take on a busy machine.
PATIENCE = 60_000
SIZES = {1440: 900, 360: 740}
expect.set_options(timeout=PATIENCE)


@dataclass
class Window:
    """One person's browser: cookies of its own, one page."""

    page: Page
    home: str
    #: What a page said on its console, what it did not get, and what it wanted from elsewhere.
    trouble: list[str] = field(default_factory=list)
    _refusals: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, browser: Browser, home: str, *, width: int = 1440, dark: bool = False, **options: Any) -> Window:
        """A new one, of that width in CSS pixels."""
        look = {"color_scheme": "dark" if dark else "light", "viewport": {"width": width, "height": SIZES[width]}}
        context = browser.new_context(base_url=home, **look, reduced_motion="reduce", timezone_id="UTC", **options)
        context.set_default_timeout(PATIENCE)
        # Known from the first page on: else the admin's script tells it, and loads that page again.
        context.add_cookies([{"name": zone.COOKIE, "value": "UTC", "url": home}])
        window = cls(context.new_page(), home)
        context.route(window._is_elsewhere, window._stop)
        page = window.page
        page.on("console", window._hear)
        page.on("pageerror", lambda error: window.trouble.append(f"{page.url}: {error}"))
        page.on("requestfailed", window._failed)
        page.on("response", window._answered)
        return window

    # -- coming in

    def log_in(self, name: str, password: str) -> None:
        """Through the admin's form, by keyboard."""
        self.page.goto("/admin/")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.keyboard.press("Enter")
        expect(self.page.locator("#user-tools")).to_contain_text(name)

    def enter(self, user: Any) -> None:
        """As somebody who has logged in already."""
        client = Client()
        client.force_login(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        self.page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": self.home}])

    # -- going about

    def open_saga(self, saga: Saga) -> None:
        """Its page."""
        self.page.goto(pages.page(saga))

    @property
    def title(self) -> Locator:
        """The page's first heading."""
        return self.page.get_by_role("heading", level=1).last

    def button(self, name: str) -> Locator:
        """The button of that name, in full."""
        return self.page.get_by_role("button", name=name, exact=True)

    def press(self, name: str) -> None:
        """Press it."""
        self.button(name).click()

    def link(self, name: str) -> Locator:
        """The link of that name, in full."""
        return self.page.get_by_role("link", name=name, exact=True)

    def step_button(self, step: str, name: str) -> Locator:
        """The button of a step."""
        return self.page.get_by_role("form", name=step, exact=True).get_by_role("button", name=name, exact=True)

    def give_reason(self, reason: str) -> None:
        """What every confirmation asks for."""
        self.page.get_by_label("Reason").fill(reason)

    def read(self, *texts: str) -> None:
        """All of this is on the page, and can be seen."""
        for text in texts:
            expect(self.page.locator("#content, main").first).to_contain_text(text, ignore_case=True)

    def told(self, text: str) -> None:
        """The message that an action led to."""
        expect(self.page.locator(".messagelist")).to_contain_text(text, ignore_case=True)

    def is_refused(self, go: Callable[[], Response | None]) -> None:
        """The server says 403, and the browser's console may say so too; nothing else."""
        before = len(self._refusals)
        response = go()
        assert response is not None
        assert response.status == 403, response.url
        assert len(self._refusals) == before + 1
        self.trouble.remove(self._refusals[-1])
        said = [line for line in self.trouble if "403 (Forbidden)" in line]
        for line in said:
            self.trouble.remove(line)

    def text(self) -> str:
        """What is to be read on the page now."""
        return self.page.locator("body").inner_text(timeout=5_000)

    # -- watching

    def close(self) -> None:
        """Let the page come to rest, and close it. Whatever it complained of fails the test."""
        self.page.wait_for_load_state("load")
        self.page.context.close()
        assert not self.trouble, "\n".join(self.trouble)

    def _is_elsewhere(self, url: str) -> bool:
        return not re.match(rf"{re.escape(self.home)}(/|$)|(data|blob|about):", url)

    def _stop(self, route: Route) -> None:
        self.trouble.append(f"{self.page.url}: asks another host: {route.request.url}")
        route.abort()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.trouble.append(f"{self.page.url}: console: {message.text}")

    def _failed(self, request: Request) -> None:
        # Leaving a page aborts what it was still loading.
        if "ERR_ABORTED" not in (request.failure or ""):
            self.trouble.append(f"{self.page.url}: {request.failure}: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            line = f"{self.page.url}: {response.status}: {response.url}"
            self.trouble.append(line)
            if response.status == 403:
                self._refusals.append(line)
