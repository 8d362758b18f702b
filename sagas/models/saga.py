"""`Saga`: one running instance of a saga definition, and the querysets over it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ..conf import app_settings
from ..core.children import MAX_DEPTH
from ..core.states import ALIVE, TERMINAL, SagaState, StepStatus
from ..core.workflow import WorkflowStatus, workflow_status
from ..definitions.definition import SagaDefinition
from ..definitions.ids import id_text, new_id, parse_id
from .graph import SagaGraph
from .managers import InSagasDatabase
from .operations import SagaOperations

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models.fields.related_descriptors import RelatedManager

    from .history import HistoryEntry
    from .step import Step

SAGA_STATES = [(state.value, _(state.value)) for state in SagaState]


class SagaQuerySet(models.QuerySet["Saga"]):
    """The questions that are asked about sagas."""

    def active(self) -> SagaQuerySet:
        """Those that have not ended."""
        return self.filter(state__in=ALIVE)

    def stale(self) -> SagaQuerySet:
        """Those flagged as stale."""
        return self.filter(stale_since__isnull=False)

    def needing_attention(self) -> SagaQuerySet:
        """Those that a person must look at."""
        return self.exclude(attention="")

    def without_progress(self, *, now: datetime, since: timedelta | None = None) -> SagaQuerySet:
        """Active, not paused, not waiting for a person, not flagged yet, and unchanged for `since` (STALE_AFTER)."""
        limit = now - (since or app_settings().STALE_AFTER)
        return self.filter(
            wake_at__isnull=False, paused_at__isnull=True, attention="", stale_since__isnull=True, updated_at__lt=limit
        )


@cache
def _engine() -> ModuleType:
    """Imported late: it imports this module."""
    from ..engine import start

    return start


class SagaManager(InSagasDatabase.from_queryset(SagaQuerySet)):  # type: ignore[misc]
    """`Saga.objects`: start sagas here."""

    def start(  # noqa: PLR0913
        self,
        definition: str | type[SagaDefinition],
        *,
        context: Mapping[str, Any] | None = None,
        steps: Sequence[Any] | None = None,
        subject: models.Model | None = None,
        owner: str = "",
        idempotency_key: str | None = None,
        tags: Sequence[str] = (),
        priority: int = 0,
        deadline: datetime | timedelta | None = None,
        rollback: bool | None = None,
        request_id: str = "",
    ) -> Saga:
        """Start a saga inside the caller's transaction: it exists if and only if that commits.

        `definition`: a `SagaDefinition` or its name; with `steps` (a list of `step(…)` or dicts) any name. `context`: a
        dict that JSON can hold. `subject`: the business object it is about. `owner`: text under which it is found.
        `idempotency_key`: the same key (per name and owner) with the same payload returns the same saga, with another
        one raises `DuplicateSagaError`. `rollback=False`: a failure undoes nothing until somebody asks.
        `priority`: from -100 to 100; where workers find more in the database than they can take, they take the higher
        ones first (a broker hands its hints out as they came). `deadline`: it is to be done by
        then (see `SagaDefinition.on_deadline`).

        Raises `DefinitionError`, `PayloadError`, `DuplicateSagaError`, `LockHeldError`.
        """
        saga: Saga = _engine().start(
            definition,
            context=context,
            steps=steps,
            subject=subject,
            owner=owner,
            idempotency_key=idempotency_key,
            tags=tags,
            priority=priority,
            deadline=deadline,
            rollback=rollback,
            request_id=request_id,
        )
        return saga

    async def astart(self, definition: str | type[SagaDefinition], **options: Any) -> Saga:
        """`start` from async code."""
        from asgiref.sync import sync_to_async

        return await sync_to_async(self.start)(definition, **options)

    def start_many(self, definition: str | type[SagaDefinition], rows: Iterable[Mapping[str, Any]]) -> list[Saga]:
        """Start one saga per row, all in one go, and return them in order.

        A row is a dict of the options of `start` (`context`, `owner`, `idempotency_key` …).
        """
        found: list[Saga] = _engine().start_many(definition, rows)
        return found

    def by_id(self, text: str) -> Saga | None:
        """The saga of that ULID or UUID text, if there is one."""
        found = parse_id(text)
        saga: Saga | None = None if found is None else self.filter(pk=found).first()
        return saga


class Saga(SagaOperations):
    """One business operation across services. All of its state is here; only the engine changes it."""

    id = models.UUIDField(_("id"), primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("name"), max_length=100)
    version = models.CharField(_("version"), max_length=50, default="1")
    #: No constraint in the database: its key-share lock would be taken on one hot row by every start.
    graph = models.ForeignKey(
        SagaGraph,
        verbose_name=_("graph"),
        on_delete=models.PROTECT,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    state = models.CharField(_("state"), max_length=12, choices=SAGA_STATES, default=SagaState.STARTED)
    #: +1 per transition; also the seq of the history entry.
    revision = models.PositiveIntegerField(_("revision"), default=1)
    rollback = models.BooleanField(_("roll back on failure"), default=True)
    context = models.JSONField(_("context"), default=dict)
    subject_type = models.ForeignKey(
        ContentType,
        verbose_name=_("subject type"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        db_index=False,
        related_name="+",
    )
    subject_id = models.CharField(_("subject id"), max_length=64, blank=True, default="")
    subject = GenericForeignKey("subject_type", "subject_id")
    #: Never NULL: a NULL would escape the unique key.
    owner = models.CharField(_("owner"), max_length=150, blank=True, default="")
    idempotency_key = models.CharField(_("idempotency key"), max_length=200, null=True, blank=True)  # noqa: DJ001
    payload_hash = models.CharField(_("payload hash"), max_length=64, blank=True, default="")
    tags = models.JSONField(_("tags"), default=list, blank=True)
    priority = models.SmallIntegerField(_("priority"), default=0)
    #: When the sweep must look at it at the latest; NULL when it has ended. May be early, never late.
    wake_at = models.DateTimeField(_("wake at"), null=True, blank=True)
    deadline_at = models.DateTimeField(_("deadline"), null=True, blank=True)
    #: No progress for longer than allowed, since.
    stale_since = models.DateTimeField(_("stale since"), null=True, blank=True)
    paused_at = models.DateTimeField(_("paused at"), null=True, blank=True)
    #: The deadline was missed, and a person must look.
    overdue_at = models.DateTimeField(_("overdue since"), null=True, blank=True)
    #: While rolling back in part: the position of the step that is opened again.
    rewind_to = models.PositiveSmallIntegerField(_("rolling back to"), null=True, blank=True)
    #: The saga whose step has started this one, and that step's name and round. No index: a child's id is known from
    #: them, see `sagas.core.children`.
    parent = models.ForeignKey(
        "self",
        verbose_name=_("parent"),
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    parent_step = models.CharField(_("step of the parent"), max_length=100, blank=True, default="")
    parent_round = models.PositiveSmallIntegerField(_("round of that step"), default=0)
    #: How many sagas are above it.
    depth = models.PositiveSmallIntegerField(_("depth"), default=0)
    #: Its semantic lock: one living saga per key; empty = it has none. Who has it, and who waits: `SagaLock`.
    lock_key = models.CharField(_("lock"), max_length=200, blank=True, default="")
    lock_state = models.CharField(_("state of the lock"), max_length=20, blank=True, default="")
    #: Why a person must look; empty when nobody must.
    attention = models.CharField(_("attention"), max_length=20, blank=True, default="")
    error_code = models.CharField(_("error code"), max_length=100, blank=True, default="")
    error_message = models.TextField(_("error message"), blank=True, default="")
    request_id = models.CharField(_("request id"), max_length=128, blank=True, default="")
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    #: The time of the last transition.
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now)
    completed_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    if TYPE_CHECKING:
        steps: RelatedManager[Step]
        history: RelatedManager[HistoryEntry]

    #: On what `start` returns: False when an idempotency key found a saga that was there before.
    was_created = True

    objects = SagaManager()

    class Meta:
        verbose_name = _("saga")
        verbose_name_plural = _("sagas")
        default_permissions = ("view",)
        permissions = [
            ("compensate_saga", "Can compensate sagas"),
            ("retry_saga", "Can retry sagas"),
            ("cancel_saga", "Can cancel sagas"),
            ("pause_saga", "Can pause, resume and hurry sagas"),
            ("steer_saga", "Can skip steps, run them with other input, and roll back to them"),
            ("approve_saga", "Can approve and deny steps"),
            ("resolve_saga", "Can resolve and assign what sagas are stuck with"),
            ("signal_saga", "Can send signals to sagas"),
            ("restart_saga", "Can start new sagas in the place of ended ones"),
            ("start_saga", "Can start sagas from a form"),
            ("reveal_saga", "Can see what is hidden in the payloads of sagas"),
        ]
        # No index names a column that changes with each step: updates stay on their page (HOT).
        indexes = [
            models.Index(fields=["-priority", "wake_at"], name="sagas_due", condition=models.Q(wake_at__isnull=False)),
            models.Index(
                fields=["state", "id"],
                name="sagas_unfinished",
                condition=models.Q(state__in=["started", "compensating", "failed"]),
            ),
            models.Index(fields=["completed_at"], name="sagas_ended", condition=models.Q(completed_at__isnull=False)),
            models.Index(fields=["name", "id"], name="sagas_name"),
            models.Index(fields=["owner", "id"], name="sagas_owner", condition=~models.Q(owner="")),
            models.Index(fields=["id"], name="sagas_attention", condition=~models.Q(attention="")),
            models.Index(fields=["id"], name="sagas_stale", condition=models.Q(stale_since__isnull=False)),
            models.Index(fields=["id"], name="sagas_paused", condition=models.Q(paused_at__isnull=False)),
            models.Index(fields=["id"], name="sagas_compensated", condition=models.Q(state="compensated")),
            models.Index(fields=["error_code", "id"], name="sagas_error", condition=~models.Q(error_code="")),
            models.Index(
                fields=["subject_type", "subject_id"],
                name="sagas_subject",
                condition=models.Q(subject_type__isnull=False),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["idempotency_key", "name", "owner"],
                name="sagas_idempotency",
                condition=models.Q(idempotency_key__isnull=False),
            ),
            models.CheckConstraint(
                name="sagas_no_limbo",
                condition=models.Q(state__in=["completed", "compensated", "failed"])
                | models.Q(paused_at__isnull=False)
                | models.Q(wake_at__isnull=False),
            ),
            models.CheckConstraint(name="sagas_depth", condition=models.Q(depth__lte=MAX_DEPTH)),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.ulid}"

    @property
    def ulid(self) -> str:
        """The id as ULID text, as it is shown everywhere."""
        return id_text(self.pk)

    @property
    def is_started(self) -> bool:
        """Going forward."""
        return self.state == SagaState.STARTED

    @property
    def is_completed(self) -> bool:
        """Every step is done."""
        return self.state == SagaState.COMPLETED

    @property
    def is_compensating(self) -> bool:
        """Being rolled back."""
        return self.state == SagaState.COMPENSATING

    @property
    def is_compensated(self) -> bool:
        """Everything that was executed is undone."""
        return self.state == SagaState.COMPENSATED

    @property
    def is_failed(self) -> bool:
        """Ended without being undone."""
        return self.state == SagaState.FAILED

    @property
    def is_terminal(self) -> bool:
        """Nothing more happens by itself."""
        return self.state in TERMINAL

    @property
    def workflow_status(self) -> WorkflowStatus:
        """The state in the workflow tutorial's words: ACTIVE, COMPLETED, FAILED, FAILED_ROLLED_BACK, PAUSED."""
        return workflow_status(self.state, paused=self.paused_at is not None, attention=self.attention)

    def completed_steps(self) -> list[Step]:
        """The steps that are done, in order."""
        return list(self.steps.filter(status=StepStatus.COMPLETED))

    def failed_steps(self) -> list[Step]:
        """The steps that failed, may have failed, or could not be undone."""
        return list(
            self.steps.filter(status__in=(StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.COMPENSATION_FAILED))
        )


def saga_key(saga: Saga | UUID) -> UUID:
    """The primary key of a saga, however it is given."""
    key: UUID = saga.pk if isinstance(saga, Saga) else saga
    return key
