"""`SagaAdmin`: the list of sagas, a saga's page, and the ways to act on sagas and steps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..definitions.ids import parse_id
from ..engine.criteria import CRITERIA, by_words
from ..engine.may import may
from ..models import Saga
from . import acting, cells, page, revealing, starting, words
from .bulk import Bulk, bulk
from .columns import columns
from .filters import AttentionFilter, DetailsFilter, NameFilter, PausedFilter, StaleFilter, StateFilter
from .group_filter import GroupFilter
from .keyset import KeysetChangeList
from .payloads import whole_payload
from .progress import light_steps, progress
from .readonly import ReadOnlyAdmin
from .step_verbs import STEP_VERBS, StepVerb
from .verbs import CANCEL, COMPENSATE, PAUSE, RESUME, RETRY, RUN_NOW, VERBS, Verb

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList


class SagaChangeList(KeysetChangeList):
    """Links by ULID: the spelling under which a saga is shown everywhere."""

    #: What can be done to all that was found.
    bulk: Bulk | None = None

    def get_results(self, request: HttpRequest) -> None:
        """And what can be done to all of them."""
        super().get_results(request)
        own: SagaAdmin = self.model_admin  # type: ignore[assignment]
        self.bulk = bulk(request, self, [verb for verb in VERBS.values() if own.may_act(request, verb)])

    def url_for_result(self, result: Any) -> str:
        """The saga's page."""
        return cells.saga_url(result)


@admin.register(Saga)
class SagaAdmin(ReadOnlyAdmin):
    """Sagas, for operators."""

    actions = (
        "compensate_selected",
        "cancel_selected",
        "retry_selected",
        "run_now_selected",
        "pause_selected",
        "resume_selected",
    )
    allowed_lookups = frozenset(CRITERIA)
    list_columns = (
        "id",
        "name",
        "state",
        "attention",
        "stale_since",
        "paused_at",
        "owner",
        "subject_type",
        "subject_id",
        "error_code",
        "lock_key",
        "lock_state",
        "created_at",
        "updated_at",
    )
    list_display = (
        "saga_column",
        "state_column",
        "age_column",
    )
    list_filter = (GroupFilter, StateFilter, AttentionFilter, StaleFilter, PausedFilter, NameFilter, DetailsFilter)
    ordering = ("-id",)
    sortable_by = ("saga_column",)
    search_fields = ("id", "idempotency_key", "owner")
    search_help_text = _("ULID or UUID, idempotency key, owner, or subject (orders.order:42 or 42), each in full")

    def has_compensate_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """To see sagas and to compensate them."""
        return self.may_act(request, COMPENSATE, obj)

    def has_retry_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """To see sagas and to retry them."""
        return self.may_act(request, RETRY, obj)

    def has_cancel_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """To see sagas and to cancel them."""
        return self.may_act(request, CANCEL, obj)

    def has_pause_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """To see sagas, to pause them and to let them go on."""
        return self.may_act(request, PAUSE, obj)

    def has_reveal_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """To see sagas, and what is hidden in them."""
        name = obj.name if isinstance(obj, Saga) else None
        return self.has_view_permission(request, obj) and may(request.user, "reveal", name)

    def may_act(self, request: HttpRequest, verb: Verb | StepVerb, obj: Model | None = None) -> bool:
        """To see sagas and to do this to them."""
        name = obj.name if isinstance(obj, Saga) else None
        return self.has_view_permission(request, obj) and may(request.user, verb.name, name)

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
        return (by_words(queryset, search_term) if search_term.strip() else queryset), False

    def get_list_display(self, request: HttpRequest) -> tuple[Any, ...]:
        """With columns that know who asks."""
        return columns(request, self.admin_site, self.list_display)

    @admin.display(description=_("saga"), ordering="id")
    def saga_column(self, saga: Saga) -> SafeString:
        """Its definition and its id."""
        return format_html('<span class="saga-name">{}</span> <code class="saga-id">{}</code>', saga.name, saga.ulid)

    @admin.display(description=_("state, progress"))
    def state_column(self, saga: Saga) -> SafeString:
        """The state, whether it is paused, and the steps behind it."""
        paused = format_html(" {}", cells.badge("calm", _("paused"))) if saga.paused_at else ""
        return format_html("{}{} {}", words.state_badge(saga), paused, progress(saga, saga.steps.all()))

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
        verbs = [verb for verb in VERBS.values() if self.may_act(request, verb, obj)]
        step_verbs = [verb for verb in STEP_VERBS.values() if self.may_act(request, verb, obj)]
        context |= page.context(request, obj, verbs, step_verbs, self.admin_site)
        context["again_url"] = starting.again_url(request, obj) if self.has_add_permission(request) else ""
        context["may_reveal"] = self.has_reveal_permission(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The admin's log, which knows the saga by its UUID."""
        found = parse_id(unquote(object_id))
        return super().history_view(request, quote(str(found)) if found else object_id, extra_context)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """To see sagas and to start new ones. What "Add" leads to is the choice of a definition."""
        return self.has_view_permission(request, obj) and may(request.user, "start")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Which definition?"""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return starting.choose(self, request)

    def start_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """The form, and what becomes of it. Only a POST starts anything."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return starting.respond(self, request, name)

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
        own += [
            path("add/<path:name>/", self.admin_site.admin_view(self.start_view), name="sagas_saga_start"),
            path("reveal/", self.admin_site.admin_view(self.reveal_view), name="sagas_saga_reveal"),
            path("<path:object_id>/payload/", self.admin_site.admin_view(self.payload_view), name="sagas_saga_payload"),
        ]
        return [*own, *super().get_urls()]

    def reveal_view(self, request: HttpRequest) -> HttpResponse:
        """Show what is hidden, once it is recorded who sees it and why."""
        if not self.has_reveal_permission(request):
            raise PermissionDenied
        return revealing.respond(self, request)

    def payload_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The whole of a payload that is too long for the page; what is hidden stays hidden."""
        saga = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, saga):
            raise PermissionDenied
        if saga is None:
            raise Http404
        return whole_payload(request, saga)

    def act_view(self, request: HttpRequest, verb: Verb | StepVerb) -> HttpResponse:
        """Ask for confirmation, or act. Only a POST does either."""
        if not self.may_act(request, verb):
            raise PermissionDenied
        if isinstance(verb, StepVerb):
            return acting.respond_for_step(self, request, verb)
        return acting.respond(self, request, verb)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Refuse an action that the user may not take, where Django would show the list without a word."""
        for verb in VERBS.values():
            if f"{verb.name}_selected" in request.POST.getlist("action") and not self.may_act(request, verb):
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

    @admin.action(permissions=["pause"], description=_("Run selected sagas now …"))
    def run_now_selected(self, request: HttpRequest, queryset: QuerySet[Saga]) -> HttpResponse | None:
        """Show what waits no longer, and ask."""
        return acting.ask_for_selected(self, request, RUN_NOW, queryset)

    @admin.action(permissions=["retry"], description=_("Retry selected sagas …"))
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Saga]) -> HttpResponse | None:
        """Show what would run again, and ask."""
        return acting.ask_for_selected(self, request, RETRY, queryset)
