"""A walk through the pages, with everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Callable

from tests.browser import axe
from tests.browser.window import SIZES, Window


class Tour:
    """Looks at one page after the other, at each width, and collects what is wrong."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.wrong: list[str] = []
        self.seen = 0

    def visit(self, address: str) -> None:
        """A page by its address."""
        response = self.window.page.goto(address)
        assert response is not None
        assert response.status == 200, address
        self.look(address)

    def follow(self, name: str, go: Callable[[], None]) -> None:
        """The page that this opens. Without the wait, the old page might be looked at, or one that is half there."""
        with self.window.page.expect_navigation():
            go()
        self.look(name)

    def look(self, name: str) -> None:
        """The page that is open."""
        self.seen += 1
        page = self.window.page
        axe.load(page)
        for dark in (False, True):
            page.emulate_media(color_scheme="dark" if dark else "light")
            for width, height in SIZES.items():
                page.set_viewport_size({"width": width, "height": height})
                # What is no colour is the same in the dark.
                found = axe.findings(page, only="color-contrast") if dark else [*axe.findings(page), *self._too_wide()]
                self.wrong += [f"{name} at {width}{', dark' * dark}: {line}" for line in found]

    def report(self) -> str:
        """What is wrong, in lines that pytest does not cut."""
        return "\n".join(self.wrong)

    def _too_wide(self) -> list[str]:
        page = self.window.page
        has, wide = page.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollWidth]")
        return [f"{wide} pixels wide, by {page.evaluate(_WIDEST)}"] if wide > has else []


#: What sticks out furthest, to be looked at first.
_WIDEST = """() => [...document.querySelectorAll('body *')]
    .map(one => [one.getBoundingClientRect().right, one])
    .sort((a, b) => b[0] - a[0]).slice(0, 3)
    .map(([right, one]) => `${one.tagName}.${one.className} to ${Math.round(right)}`).join(', ')"""
