"""The confirmation page: what would happen to which sagas as they are now, and a field for the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse

from ..definitions.ids import id_text, parse_id
from .forms import ReasonForm
from .plan_tree import plan_tree
from .step_verbs import Aim
from .verbs import Prospect, Verb, load

if TYPE_CHECKING:
    from .saga import SagaAdmin

#: Sagas that one confirmation may be about, and those of them whose plan it shows.
MAX_SAGAS = 100
MAX_PLANS = 20
_ITEM = re.compile(r"([0-9A-Za-z-]{26,36}):([0-9]{1,10})")
_POSITION = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Sagas as they were at a revision, and where the operator came from."""

    sagas: dict[UUID, int]
    #: The list's query string.
    filters: str = ""
    from_page: bool = False
    #: The position of the step that is meant.
    step: int | None = None
    from_work: bool = False

    @classmethod
    def read(cls, post: QueryDict) -> Wanted:
        """What a form asks for. Raises `BadRequest` when no page of ours can have sent it."""
        items = [_ITEM.fullmatch(text) for text in post.getlist("saga")]
        if not 0 < len(items) <= MAX_SAGAS:
            raise BadRequest(f"expected 1 to {MAX_SAGAS} fields saga=<ULID>:<revision>, got {len(items)}")
        sagas: dict[UUID, int] = {}
        for item in items:
            key = parse_id(item[1]) if item else None
            if item is None or key is None:
                raise BadRequest("expected saga=<ULID>:<revision>")
            sagas[key] = int(item[2])
        step = post.get("step", "")
        position = int(step) if _POSITION.fullmatch(step) else None
        origin = post.get("origin")
        return cls(sagas, post.get("filters", ""), origin == "page", position, origin == "work")

    def way_back(self) -> str:
        """The saga's page, or the list (of sagas, or of work items) as it was filtered."""
        if self.from_page and len(self.sagas) == 1:
            return reverse("admin:sagas_saga_change", args=[id_text(next(iter(self.sagas)))])
        query = QueryDict(self.filters).urlencode()
        name = "workitem" if self.from_work else "saga"
        return reverse(f"admin:sagas_{name}_changelist") + (f"?{query}" if query else "")


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One page that asks."""

    verb: Verb | Aim
    wanted: Wanted
    seen: Sequence[Prospect]
    form: ReasonForm

    def response(self, model_admin: SagaAdmin, request: HttpRequest) -> HttpResponse:
        """The page."""
        context = {
            **model_admin.admin_site.each_context(request),
            **self._context(),
            "opts": model_admin.opts,
        }
        context["media"] = model_admin.media
        return TemplateResponse(request, "admin/sagas/saga/confirm.html", context)

    def _context(self) -> dict[str, object]:
        possible = [one for one in self.seen if not one.refusal]
        return {
            "title": self.verb.asked(len(possible) or len(self.seen)),
            "verb": self.verb,
            "form": self.form,
            "wanted": self.wanted,
            "possible": possible,
            "shown": [(one, one.plan and plan_tree(one.plan, one.children, load)) for one in possible[:MAX_PLANS]],
            "others": possible[MAX_PLANS:],
            "refused": [one for one in self.seen if one.refusal],
            "gone": len(self.wanted.sagas) - len(self.seen),
            "act_url": reverse(f"admin:sagas_saga_{self.verb.name}"),
            "submit": self.verb.asked(len(possible)),
        }
