"""What of the work items is wanted: read from the address bar. What makes no sense is said, and shows nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ..engine.operate import MAX_ACTOR
from ..engine.work import CAP, KINDS, NOBODY, oldest, open_items
from . import cells, links
from .filters import known_names
from .words import hold_words

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: In place of a name: who is logged in.
ME = "me"
MAX_NAME = 100
#: More than there are pages.
_DIGITS = 4
#: Whose items, as links above the list.
VIEWS: tuple[tuple[str, dict[str, str], StrOrPromise], ...] = (
    ("all", {}, _("All")),
    ("for_me", {"for": ME}, _("I may act")),
    ("mine", {"owner": ME}, _("Mine")),
    ("unowned", {"owner": NOBODY}, _("Unowned")),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that can be chosen."""

    value: str
    label: str
    selected: bool
    url: str = ""


@dataclass(frozen=True, slots=True)
class Pages:
    """Which page it is, and where the others are."""

    first: int
    number: int
    last: int
    previous_url: str = ""
    next_url: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """The filters that are set."""

    user: str
    kind: str = ""
    name: str = ""
    owner: str = ""
    #: Only what this user may act upon.
    for_me: bool = False
    number: int = 1
    problems: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, request: HttpRequest) -> Wishes:
        """From the address."""
        given = {key: request.GET.get(key, "").strip() for key in ("kind", "name", "owner", "for", "p")}
        checks = {
            "kind": given["kind"] in ("", *KINDS),
            "name": len(given["name"]) <= MAX_NAME,
            "owner": len(given["owner"]) <= MAX_ACTOR,
            "for": given["for"] in ("", ME),
        }
        problems = [
            gettext("“%(value)s” is no value of the filter “%(name)s”.")
            % {"value": given[key].replace("\x00", "�")[:80], "name": key}
            for key, is_good in checks.items()
            if not is_good or "\x00" in given[key]
        ]
        page = given["p"]
        number = int(page) if page.isascii() and page.isdecimal() and len(page) < _DIGITS else 1
        return cls(
            request.user.get_username(),
            given["kind"],
            given["name"],
            given["owner"],
            bool(given["for"]),
            number,
            problems,
        )

    def keys(self, user: Any) -> list[int]:
        """Of the items that are wanted, the oldest first, as far as they are looked at."""
        if self.problems:
            return []
        whose = None if not self.owner else self.user if self.owner == ME else self.owner
        items = open_items(hold=self.kind, name=self.name, owner=whose)
        return oldest(items, user if self.for_me else None)

    def count(self, found: int) -> str:
        """How many there are."""
        if found > CAP:
            return gettext("more than %(count)s work items") % {"count": cells.number(CAP)}
        return ngettext("%(count)s work item", "%(count)s work items", found) % {"count": cells.number(found)}

    def page(self, found: int, size: int) -> Pages:
        """The page that is asked for, or the nearest that there is."""
        last = max((min(found, CAP) + size - 1) // size, 1)
        number = min(max(self.number, 1), last)
        return Pages(
            (number - 1) * size,
            number,
            last,
            self._url(p=number - 1) if number > 1 else "",
            self._url(p=number + 1) if number < last else "",
        )

    @property
    def narrow(self) -> bool:
        """Whether a filter is set."""
        return bool(self._query())

    def views(self) -> list[Choice]:
        """Whose items."""
        kept = {key: value for key, value in (("kind", self.kind), ("name", self.name)) if value}
        whose = {"for": ME} if self.for_me else {}
        whose |= {"owner": self.owner} if self.owner else {}
        return [Choice(key, str(label), wanted == whose, links.work(**wanted, **kept)) for key, wanted, label in VIEWS]

    def kinds(self) -> list[Choice]:
        """Of which kind."""
        return [Choice(kind, hold_words(kind), kind == self.kind) for kind in KINDS]

    def names(self) -> list[Choice]:
        """Of which definition."""
        names = sorted({*known_names(), *([self.name] if self.name and not self.problems else [])})
        return [Choice(name, name, name == self.name) for name in names]

    def kept(self) -> list[tuple[str, str]]:
        """What the form leaves alone."""
        return [(key, value) for key, value in self._query().items() if key in ("owner", "for")]

    def _query(self) -> dict[str, str]:
        given = {"kind": self.kind, "name": self.name, "owner": self.owner, "for": ME if self.for_me else ""}
        return {key: value for key, value in given.items() if value}

    def _url(self, **more: Any) -> str:
        query = QueryDict(mutable=True)
        query.update({**self._query(), **more})
        return f"?{query.urlencode()}"
