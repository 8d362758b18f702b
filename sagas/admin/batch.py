"""`BatchAdmin`: what operators have asked for many sagas at once, and how far it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import unquote
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import Model
from django.forms import Media
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..core.errors import PayloadError
from ..engine import batch as batches
from ..engine.criteria import CriterionError
from ..engine.may import may
from ..engine.operate import MAX_ACTOR
from ..exceptions import BatchError, BatchNotAllowedError
from ..models import Batch, BatchState
from . import batch_page, batch_start, cells
from .filter_words import filter_words
from .filters import KnownValuesFilter
from .readonly import ReadOnlyAdmin

_STEER = {"pause": batches.pause, "resume": batches.resume, "go_on": batches.go_on, "cancel": batches.cancel}


class BatchStateFilter(KnownValuesFilter):
    """By what they are up to."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[Any, Any]]:
        """All six."""
        return BatchState.choices

    def matching(self, queryset: Any, value: str) -> Any:
        """By the column."""
        if value not in BatchState.values:
            raise CriterionError(
                gettext("expected one of %(expected)s, got “%(value)s”")
                % {"expected": ", ".join(BatchState.values), "value": value[:80]}
            )
        return queryset.filter(state=value)


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    """Batches."""

    list_columns = (
        "id", "verb", "filters", "reason", "actor", "state", "expected", "walked_at", "acted",
        "refused", "ok", "failed", "created_at",
    )  # fmt: skip
    list_display = ("batch_column", "state_column", "progress_column", "filters_column", "who_column", "created_column")
    list_filter = (BatchStateFilter,)
    allowed_lookups = frozenset({"state"})
    ordering = ("-id",)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Who may see sagas sees what is done to many of them; or with a permission of its own."""
        return bool(request.user.has_perm("sagas.view_saga")) or super().has_view_permission(request, obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """As to see them."""
        return self.has_view_permission(request)

    def may_make(self, request: HttpRequest, verb: str) -> bool:
        """To see sagas, and to do this to them."""
        return bool(request.user.has_perm("sagas.view_saga")) and may(request.user, verb)

    def may_steer(self, request: HttpRequest, batch: Batch) -> bool:
        """What it takes to make such a batch."""
        try:
            batches.check_verb(batch.verb)
            batches.check_allowed(request.user, batch.verb, batch.filters if isinstance(batch.filters, dict) else {})
        except BatchError:
            return False
        return True

    @admin.display(description=_("batch"))
    def batch_column(self, batch: Batch) -> str:
        """What it does, and its number."""
        return gettext("%(verb)s, batch %(number)d") % {"verb": batch_page.label(batch), "number": batch.pk}

    @admin.display(description=_("state"))
    def state_column(self, batch: Batch) -> SafeString:
        """What it is up to."""
        return batch_page.badge(batch)

    @admin.display(description=_("sagas"))
    def progress_column(self, batch: Batch) -> SafeString:
        """How many had their turn, and what went wrong."""
        text = gettext("%(done)s of %(total)s") % {
            "done": cells.number(batch.done),
            "total": cells.number(batch.done) if batch.walked_at else batch_page.total(batch),
        }
        wrong = [
            gettext("%(count)s failed again") % {"count": cells.number(batch.failed)} if batch.failed else "",
            gettext("%(count)s refused") % {"count": cells.number(batch.refused)} if batch.refused else "",
        ]
        return format_html('{}<div class="quiet">{}</div>', text, ", ".join(filter(None, wrong)))

    @admin.display(description=_("filters"))
    def filters_column(self, batch: Batch) -> str:
        """Which sagas."""
        filters = batch.filters if isinstance(batch.filters, dict) else {}
        return "; ".join(f"{name}: {value}" for name, value in filter_words(filters, self.admin_site)) or "-"

    @admin.display(description=_("who and why"))
    def who_column(self, batch: Batch) -> SafeString:
        """By whom, and the reason."""
        return format_html('{}<div class="quiet saga-reason">{}</div>', batch.actor or "-", batch.reason)

    @admin.display(description=_("made"))
    def created_column(self, batch: Batch) -> SafeString:
        """When."""
        return cells.ago(batch.created_at)

    def get_urls(self) -> list[URLPattern]:
        """Before the admin's own catch-all."""
        view = self.admin_site.admin_view
        return [
            path("start/", view(self.start_view), name="sagas_batch_start"),
            path("<path:object_id>/steer/", view(self.steer_view), name="sagas_batch_steer"),
            *super().get_urls(),
        ]

    def start_view(self, request: HttpRequest) -> HttpResponse:
        """What would be done to which sagas; its POST makes the batch."""
        return batch_start.respond(self, request)

    def steer_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Pause, resume, go on, cancel. Only a POST does it."""
        batch = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, batch):
            raise PermissionDenied
        if batch is None:
            raise Http404
        if not self.may_steer(request, batch):
            raise PermissionDenied
        if request.method == "POST":
            self._steer(request, batch)
        return HttpResponseRedirect(batch_start.batch_url(batch))

    def _steer(self, request: HttpRequest, batch: Batch) -> None:
        name = request.POST.get("do", "")
        if name not in _STEER:
            raise BadRequest(f"expected do=<one of {', '.join(_STEER)}>")
        reason = request.POST.get("reason", "").replace("\r\n", "\n")
        actor = request.user.get_username()[:MAX_ACTOR]
        try:
            after = _STEER[name](batch.pk, reason=reason, actor=actor, user=request.user)
        except BatchNotAllowedError as exc:
            raise PermissionDenied from exc
        except (BatchError, PayloadError) as exc:
            messages.error(request, exc.message)
            return
        note = f"{batch_page.BUTTONS[name]}: {reason}" if reason else str(batch_page.BUTTONS[name])
        LogEntry.objects.log_actions(request.user.pk, [batch], CHANGE, note)  # type: ignore[arg-type]
        text = gettext("Batch %(number)d is %(state)s.")
        messages.success(request, text % {"number": after.pk, "state": after.get_state_display()})

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """How far it is."""
        may_steer = self.may_steer(request, obj)
        context |= batch_page.context(request, obj, self.admin_site, may_steer=may_steer)
        context["batch_media"] = Media(js=["sagas/batch.js"])
        return super().render_change_form(request, context, add, change, form_url, obj)
