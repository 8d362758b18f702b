"""`Step`: one step of one saga."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..core.children import child_id
from ..core.graph import SAGA
from ..core.states import StepStatus
from .managers import InSagasDatabase
from .saga import Saga

if TYPE_CHECKING:
    from uuid import UUID

_HELD = models.Q(held_since__isnull=False)
STEP_STATUSES = [(status.value, _(status.value)) for status in StepStatus]


class Step(models.Model):
    """A step's row: where it stands, its payloads, its claim."""

    saga = models.ForeignKey(
        Saga, verbose_name=_("saga"), on_delete=models.CASCADE, related_name="steps", db_index=False
    )
    #: Its place in the written order, from 0.
    position = models.PositiveSmallIntegerField(_("position"))
    name = models.CharField(_("name"), max_length=100)
    action = models.CharField(_("action"), max_length=100)
    compensation = models.CharField(_("compensation"), max_length=100, blank=True, default="")
    queue = models.CharField(_("queue"), max_length=100, blank=True, default="")
    #: Positions of the steps it waits for.
    depends_on = models.JSONField(_("depends on"), default=list)
    input = models.JSONField(_("input"), null=True, blank=True)
    output = models.JSONField(_("output"), null=True, blank=True)
    #: What its compensation returned, in this round.
    undo_output = models.JSONField(_("output of the compensation"), null=True, blank=True)
    status = models.CharField(_("status"), max_length=20, choices=STEP_STATUSES, default=StepStatus.PENDING)
    #: One opening of the step; the next one gets new idempotency keys.
    round = models.PositiveSmallIntegerField(_("round"), default=1)
    #: Attempts of the action, and of the compensation, in this round.
    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    undo_attempt = models.PositiveIntegerField(_("attempt of the compensation"), default=0)
    #: Attempts spent of the current budgets.
    tries = models.PositiveIntegerField(_("tries"), default=0)
    undo_tries = models.PositiveIntegerField(_("tries of the compensation"), default=0)
    #: An attempt ended without an answer: the effect may be there.
    doubt = models.BooleanField(_("in doubt"), default=False)
    #: The claim: which worker process runs it, under which token, since when.
    claim_worker = models.UUIDField(_("claimed by"), null=True, blank=True)
    claim_token = models.BigIntegerField(_("claim token"), null=True, blank=True)
    claimed_at = models.DateTimeField(_("claimed at"), null=True, blank=True)
    #: A timed-out attempt whose thread may still run in that process.
    stale_worker = models.UUIDField(_("old thread in"), null=True, blank=True)
    stale_token = models.BigIntegerField(_("old thread's token"), null=True, blank=True)
    #: What blocks it until a person acts; empty when nothing does.
    hold = models.CharField(_("hold"), max_length=20, blank=True, default="")
    #: Not before.
    due_at = models.DateTimeField(_("due at"), null=True, blank=True)
    #: How far its handler says that it is (0 to 1), and in which attempt. No transition: see `current_progress`.
    progress = models.FloatField(_("progress"), null=True, blank=True)
    progress_token = models.BigIntegerField(_("progress of the claim"), null=True, blank=True)
    crashes = models.PositiveSmallIntegerField(_("crashes"), default=0)
    error_code = models.CharField(_("error code"), max_length=100, blank=True, default="")
    error_message = models.TextField(_("error message"), blank=True, default="")
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    executed_at = models.DateTimeField(_("executed at"), null=True, blank=True)
    compensated_at = models.DateTimeField(_("compensated at"), null=True, blank=True)
    undo_started_at = models.DateTimeField(_("undo started at"), null=True, blank=True)
    #: Its condition holds and its gates are passed.
    opened = models.BooleanField(_("opened"), default=False)
    #: What it waits for, while waiting.
    waits = models.CharField(_("waits for"), max_length=20, blank=True, default="")
    #: A digest of the answer or signal that it has got.
    answer = models.CharField(_("answer"), max_length=64, blank=True, default="")
    #: Who has approved, one per line.
    approved_by = models.TextField(_("approved by"), blank=True, default="")
    #: Who looks after what a person is asked for.
    owner = models.CharField(_("owner"), max_length=150, blank=True, default="")
    #: Since when a person is asked for; NULL while nobody is. Only then it is a work item.
    held_since = models.DateTimeField(_("held since"), null=True, blank=True)

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("step")
        verbose_name_plural = _("steps")
        default_permissions = ("view",)
        ordering = ("saga", "position")
        # Empty until something fails: the updates of a step that just runs stay on their page (HOT).
        indexes = [
            models.Index(fields=["name", "saga"], name="sagas_step_error", condition=~models.Q(error_code="")),
            models.Index(fields=["held_since", "id"], name="sagas_step_held", condition=_HELD),
            models.Index(fields=["owner", "held_since", "id"], name="sagas_step_owner", condition=_HELD),
        ]
        constraints = [models.UniqueConstraint(fields=["saga", "name"], name="sagas_step_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_child(self) -> bool:
        """Whether it is done by a child saga."""
        return self.action.startswith(SAGA)

    @property
    def child_id(self) -> UUID | None:
        """The child saga that it has started (in this round); None where it is none, or has not begun."""
        return child_id(self.saga_id, self.name, self.round) if self.is_child and self.attempt else None

    @property
    def current_progress(self) -> float | None:
        """How far the attempt that runs now is, from 0 to 1; None when none runs, or it does not say."""
        runs = self.claim_token is not None and self.claim_token == self.progress_token
        return self.progress if runs else None


class WorkItem(Step):
    """A step that asks for a person: its page in the admin hangs here."""

    class Meta:
        proxy = True
        verbose_name = _("work item")
        verbose_name_plural = _("work items")
        default_permissions = ()
