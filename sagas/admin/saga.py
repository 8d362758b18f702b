"""`SagaAdmin`: the list of sagas, a saga's page, and the ways to act on sagas and steps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..definitions.ids import parse_id
from ..models import Saga
from . import acting, cells, page, words
from .filters import AttentionFilter, NameFilter, StaleFilter, StateFilter
from .paging import CappedChangeList
from .progress import light_steps, progress
from .readonly import ReadOnlyAdmin
from .step_verbs import STEP_VERBS, StepVerb
from .verbs import CANCEL, COMPENSATE, PAUSE, RESUME, RETRY, VERBS, Verb

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList


class SagaChangeList(CappedChangeList):
    """Links by ULID: the spelling under which a saga is shown everywhere."""

    def url_for_result(self, result: Any) -> str:
        """The saga's page."""
        return cells.saga_url(result)


@admin.register(Saga)
class SagaAdmin(ReadOnlyAdmin):
    """Sagas, for operators."""

    actions = ("compensate_selected", "cancel_selected", "retry_selected", "pause_selected", "resume_selected")
    allowed_lookups = frozenset({"state", "name", "attention", "stale"})
    list_columns = (
        "id",
        "name",
        "state",
        "attention",
        "stale_since",
        "paused_at",
        "owner",
        "created_at",
        "updated_at",
    )
    list_display = (
        "saga_column",
        "state_column",
        "attention_column",
        "stale_column",
        "owner_column",
        "age_column",
    )
    list_filter = (StateFilter, NameFilter, AttentionFilter, StaleFilter)
    ordering = ("-id",)
    sortable_by = ("saga_column",)
    search_fields = ("id", "idempotency_key", "owner")
    search_help_text = _("ULID or UUID, idempotency key, or owner, each in full")

    def has_compensate_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """To see sagas and to compensate them."""
        return self._may(request, COMPENSATE, obj)

    def has_retry_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """To see sagas and to retry them."""
        return self._may(request, RETRY, obj)

    def has_cancel_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """To see sagas and to cancel them."""
        return self._may(request, CANCEL, obj)

    def has_pause_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """To see sagas, to pause them and to let them go on."""
        return self._may(request, PAUSE, obj)

    def _may(self, request: HttpRequest, verb: Verb | StepVerb, obj: Model | None = None) -> bool:
        needed = f"{self.opts.app_label}.{verb.codename}"
        return self.has_view_permission(request, obj) and request.user.has_perm(needed)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """A capped list with links by ULID."""
        return SagaChangeList

    def for_list(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """No payloads; the steps of the page in one query."""
        return super().for_list(queryset).prefetch_related(light_steps())

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Exact matches only: they are all that an index can answer."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = parse_id(term)
        if found is not None:
            return queryset.filter(pk=found), False
        return queryset.filter(Q(idempotency_key=term) | Q(owner=term)), False

    @admin.display(description=_("saga"), ordering="id")
    def saga_column(self, saga: Saga) -> SafeString:
        """Its definition and its id."""
        return format_html('{} <code class="saga-id">{}</code>', saga.name, saga.ulid)

    @admin.display(description=_("state, progress"))
    def state_column(self, saga: Saga) -> SafeString:
        """The state, whether it is paused, and the steps behind it."""
        paused = format_html(" {}", cells.badge("calm", _("paused"))) if saga.paused_at else ""
        return format_html("{}{} {}", words.state_badge(saga), paused, progress(saga, saga.steps.all()))

    @admin.display(description=_("attention"))
    def attention_column(self, saga: Saga) -> SafeString | str:
        """Why a person must look."""
        return cells.badge("bad", words.hold_words(saga.attention)) if saga.attention else cells.nothing()

    @admin.display(description=_("stale"))
    def stale_column(self, saga: Saga) -> SafeString | str:
        """For how long it has been flagged."""
        if saga.stale_since is None:
            return cells.nothing()
        # The column's name, for screens that are too narrow for columns.
        return format_html('<span class="saga-narrow">{} </span>{}', _("stale"), cells.since(saga.stale_since))

    @admin.display(description=_("owner"))
    def owner_column(self, saga: Saga) -> SafeString:
        """Whose it is."""
        if not saga.owner:
            return cells.nothing()
        return format_html('<span class="saga-owner" title="{}">{}</span>', saga.owner, saga.owner)

    @admin.display(description=_("age, updated"))
    def age_column(self, saga: Saga) -> SafeString:
        """Its age, and that of its last transition."""
        updated = format_html(gettext("updated {}"), cells.since(saga.updated_at))
        return format_html('{}<div class="quiet">{}</div>', cells.since(saga.created_at), updated)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Saga | None:
        """By ULID or UUID text."""
        found = parse_id(object_id)
        return None if found is None else self.get_queryset(request).filter(pk=found).first()

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Beside what the admin puts there: the saga, its steps and history, and what may be done."""
        verbs = [verb for verb in VERBS.values() if self._may(request, verb)]
        step_verbs = [verb for verb in STEP_VERBS.values() if self._may(request, verb)]
        context |= page.context(request, obj, verbs, step_verbs, self.admin_site)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The admin's log, which knows the saga by its UUID."""
        found = parse_id(unquote(object_id))
        return super().history_view(request, quote(str(found)) if found else object_id, extra_context)

    def get_urls(self) -> list[URLPattern]:
        """A view per verb, before the admin's own catch-all."""
        verbs: list[Verb | StepVerb] = [*VERBS.values(), *STEP_VERBS.values()]
        own = [
            path(
                f"{verb.name}/",
                self.admin_site.admin_view(partial(self.act_view, verb=verb)),
                name=f"sagas_saga_{verb.name}",
            )
            for verb in verbs
        ]
        return [*own, *super().get_urls()]

    def act_view(self, request: HttpRequest, verb: Verb | StepVerb) -> HttpResponse:
        """Ask for confirmation, or act. Only a POST does either."""
        if not self._may(request, verb):
            raise PermissionDenied
        if isinstance(verb, StepVerb):
            return acting.respond_for_step(self, request, verb)
        return acting.respond(self, request, verb)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Refuse an action that the user may not take, where Django would show the list without a word."""
        for verb in VERBS.values():
            if f"{verb.name}_selected" in request.POST.getlist("action") and not self._may(request, verb):
                raise PermissionDenied
        return super().changelist_view(request, extra_context)

    @admin.action(permissions=["compensate"], description=_("Compensate selected sagas …"))
    def compensate_selected(self, request: HttpRequest, queryset: QuerySet[Saga]) -> HttpResponse | None:
        """Show what would be undone, and ask."""
        return acting.ask_for_selected(self, request, COMPENSATE, queryset)

    @admin.action(permissions=["cancel"], description=_("Cancel selected sagas …"))
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Saga]) -> HttpResponse | None:
        """Show what would be undone, and ask."""
        return acting.ask_for_selected(self, request, CANCEL, queryset)

    @admin.action(permissions=["pause"], description=_("Pause selected sagas …"))
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Saga]) -> HttpResponse | None:
        """Ask."""
        return acting.ask_for_selected(self, request, PAUSE, queryset)

    @admin.action(permissions=["pause"], description=_("Resume selected sagas …"))
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Saga]) -> HttpResponse | None:
        """Ask."""
        return acting.ask_for_selected(self, request, RESUME, queryset)

    @admin.action(permissions=["retry"], description=_("Retry selected sagas …"))
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Saga]) -> HttpResponse | None:
        """Show what would run again, and ask."""
        return acting.ask_for_selected(self, request, RETRY, queryset)
