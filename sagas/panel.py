"""`SagaInline`: the sagas of an object on the object's own admin page, in one line of the host's `ModelAdmin`.

    from sagas.panel import SagaInline

    class OrderAdmin(admin.ModelAdmin):
        inlines = [SagaInline]             # sagas that were started with subject=order
        inlines = [SagaInline.by("saga")]  # … and those whose id the order keeps in its field `saga`

Only for looking: rows come from the engine. It shows itself to who may view sagas.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Any, ClassVar, Self
from uuid import UUID

from django.contrib.contenttypes.admin import GenericTabularInline
from django.contrib.contenttypes.forms import BaseGenericInlineFormSet
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from .admin import cells, words
from .admin.progress import light_steps, progress
from .admin.zone import viewers_zone
from .definitions.ids import parse_id
from .models import Saga

if TYPE_CHECKING:
    Inline = GenericTabularInline
    FormSet = BaseGenericInlineFormSet[Any, Any]
else:
    # Not subscriptable at runtime.
    Inline, FormSet = GenericTabularInline, BaseGenericInlineFormSet

#: Sagas of one object that are shown, the newest first.
MAX_SAGAS = 20
_COLUMNS = ("name", "state", "attention", "stale_since", "paused_at", "created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class Line:
    """One saga of the object."""

    link: SafeString
    state: SafeString
    progress: SafeString
    #: Why a person must look; empty when nobody must.
    attention: SafeString | str
    paused: bool
    stale: bool
    started: SafeString
    updated: SafeString


class PanelFormSet(FormSet):
    """No forms: the lines are read by the template."""

    #: Fields of the object that hold ids of sagas.
    saga_fields: ClassVar[tuple[str, ...]] = ()
    #: Of who looks; the rest of the object's page is the project's affair.
    zone: ClassVar[tzinfo | None] = None

    def get_queryset(self) -> Any:
        """Nothing is edited."""
        return Saga.objects.none()

    @cached_property
    def found(self) -> list[Saga]:
        """The object's sagas, and one more than are shown: two queries."""
        if self.instance.pk is None:
            return []
        subject = ContentType.objects.get_for_model(self.instance)
        ours = Q(subject_type=subject, subject_id=str(self.instance.pk))
        keys = list(self._keys())
        ours = ours | Q(pk__in=keys) if keys else ours
        sagas = Saga.objects.filter(ours).only(*_COLUMNS).prefetch_related(light_steps())
        return list(sagas.order_by("-id")[: MAX_SAGAS + 1])

    def _keys(self) -> Iterator[UUID]:
        for field in self.saga_fields:
            value = getattr(self.instance, field)
            value = value() if callable(value) else value
            key = value.pk if isinstance(value, Saga) else parse_id(str(value)) if value else None
            if key is not None:
                yield key

    @property
    def lines(self) -> list[Line]:
        """What the panel shows."""
        with timezone.override(self.zone or timezone.get_current_timezone()):
            return [_line(saga) for saga in self.found[:MAX_SAGAS]]

    @property
    def left_out(self) -> bool:
        """Whether there are more."""
        return len(self.found) > MAX_SAGAS


def _line(saga: Saga) -> Line:
    return Line(
        cells.saga_link(saga),
        words.state_badge(saga),
        progress(saga, saga.steps.all()),
        cells.badge("bad", words.hold_words(saga.attention)) if saga.attention else "",
        paused=saga.paused_at is not None,
        stale=saga.stale_since is not None,
        started=cells.ago(saga.created_at),
        updated=cells.ago(saga.updated_at),
    )


class SagaInline(Inline):
    """See the module."""

    model = Saga
    ct_field = "subject_type"
    ct_fk_field = "subject_id"
    fields = ()
    extra = 0
    max_num = 0
    can_delete = False
    formset = PanelFormSet  # type: ignore[assignment]
    template = "admin/sagas/panel.html"
    verbose_name_plural = _("sagas")

    class Media:
        css = {"all": ["sagas/admin.css"]}

    @classmethod
    def by(cls, *fields: str) -> type[Self]:
        """One that finds sagas by these fields too: each holds a saga's id (a UUID, or its text), or a saga."""
        formset = type("PanelFormSet", (cls.formset,), {"saga_fields": (*cls.formset.saga_fields, *fields)})
        return type(cls.__name__, (cls,), {"formset": formset, "__module__": cls.__module__})

    def get_formset(self, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> Any:
        """With the zone in which it tells times."""
        formset = super().get_formset(request, obj, **kwargs)
        return type(formset.__name__, (formset,), {"zone": viewers_zone(request)})

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Of an object that is there, to who may view sagas."""
        return obj is not None and request.user.has_perm("sagas.view_saga")

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never: rows come from the engine."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Never."""
        return False
