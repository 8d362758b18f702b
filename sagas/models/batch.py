"""`Batch` and `BatchItem`: one act of an operator on all sagas that filters find, and what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .managers import InSagasDatabase
from .saga import Saga

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager


class BatchState(models.TextChoices):
    """What a batch is up to."""

    QUEUED = "queued", _("queued")
    GOING = "going", _("going")
    PAUSED = "paused", _("paused")
    #: By itself: too many failed again.
    STOPPED = "stopped", _("stopped itself")
    CANCELLED = "cancelled", _("cancelled")
    DONE = "done", _("done")


#: Those that workers look after.
LIVING = (BatchState.QUEUED, BatchState.GOING)
#: Those that can be cancelled.
OPEN = (*LIVING, BatchState.PAUSED, BatchState.STOPPED)


class ItemOutcome(models.TextChoices):
    """What became of one saga."""

    #: It was acted upon; what came of it is not known yet, or never was.
    ACTED = "acted", _("acted upon, not known yet")
    OK = "ok", _("went well")
    FAILED = "failed", _("failed again")
    REFUSED = "refused", _("refused")


class Batch(models.Model):
    """One verb for all sagas that its filters find, done little by little by the workers.

    Nobody but `sagas.engine.batch` writes it, under the row's lock.
    """

    verb = models.CharField(_("verb"), max_length=20)
    #: Names of `sagas.engine.criteria.CRITERIA`, and `q` for words that were searched for. Times are absolute.
    filters = models.JSONField(_("filters"), default=dict)
    reason = models.TextField(_("reason"))
    #: Who: a user's name, or that of a program.
    actor = models.CharField(_("actor"), max_length=150, blank=True, default="")
    #: The user's primary key, to ask for permissions; empty: code, which is trusted. Users may be in another database.
    user_key = models.CharField(_("user"), max_length=64, blank=True, default="")
    #: Sagas per second.
    rate = models.FloatField(_("sagas per second"), default=5)
    state = models.CharField(_("state"), max_length=12, choices=BatchState.choices, default=BatchState.QUEUED)
    #: Why it has stopped itself: `sagas.engine.batch.verdict.Why`; how many of what is in the last of the events.
    why = models.CharField(_("why"), max_length=20, blank=True, default="")
    #: The newest saga that is meant: later ones are not taken.
    upto = models.UUIDField(_("up to"))
    #: The saga that it has come to; NULL = it has not begun.
    cursor = models.UUIDField(_("cursor"), null=True, blank=True)
    #: When it has come to the end of them.
    walked_at = models.DateTimeField(_("acted on the last one at"), null=True, blank=True)
    #: How many sagas matched when it was made; counted to 1001 and no further.
    expected = models.PositiveIntegerField(_("expected"), default=0)
    acted = models.PositiveIntegerField(_("acted upon"), default=0)
    refused = models.PositiveIntegerField(_("refused"), default=0)
    ok = models.PositiveIntegerField(_("went well"), default=0)
    failed = models.PositiveIntegerField(_("failed again"), default=0)
    #: Somebody let it go on after it had stopped: what was known up to this item does not stop it again.
    forgiven = models.BigIntegerField(_("forgiven up to"), null=True, blank=True)
    #: The next saga's turn is not before this; a worker looks at the batch then.
    next_at = models.DateTimeField(_("next at"), default=timezone.now)
    #: When a worker has last looked what became of the sagas.
    watched_at = models.DateTimeField(_("watched at"), null=True, blank=True)
    #: Who has paused it, let it go on and so on: `[{"at", "what", "actor", "reason"}]`.
    events = models.JSONField(_("events"), default=list, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    if TYPE_CHECKING:
        items: RelatedManager[BatchItem]

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["next_at"], name="sagas_batch_next", condition=models.Q(state__in=["queued", "going"]))
        ]

    def __str__(self) -> str:
        return f"{self.verb} #{self.pk}"

    @property
    def unknown(self) -> int:
        """Of how many sagas it is not known what came of it."""
        return max(self.acted - self.ok - self.failed, 0)

    @property
    def done(self) -> int:
        """How many sagas have had their turn."""
        return self.acted + self.refused


class BatchItem(models.Model):
    """What became of one saga of a batch. Written in the transaction that acts."""

    batch = models.ForeignKey(
        Batch, verbose_name=_("batch"), on_delete=models.CASCADE, related_name="items", db_index=False
    )
    #: No constraint in the database: sagas may be deleted, what was done stays.
    saga = models.ForeignKey(
        Saga,
        verbose_name=_("saga"),
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    #: The saga's revision when it was acted upon, and after that.
    expected_revision = models.PositiveIntegerField(_("expected revision"))
    revision = models.PositiveIntegerField(_("revision after it"), null=True, blank=True)
    #: The saga's state after it.
    state = models.CharField(_("state after it"), max_length=12, blank=True, default="")
    outcome = models.CharField(_("outcome"), max_length=12, choices=ItemOutcome.choices)
    message = models.TextField(_("message"), blank=True, default="")
    acted_at = models.DateTimeField(_("acted at"))
    #: When it was known what came of it.
    known_at = models.DateTimeField(_("known at"), null=True, blank=True)

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("saga of a batch")
        verbose_name_plural = _("sagas of batches")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["batch", "saga"], name="sagas_batch_once")]
        indexes = [
            models.Index(fields=["batch", "id"], name="sagas_batch_items"),
            models.Index(fields=["batch", "outcome", "id"], name="sagas_batch_outcome"),
        ]

    def __str__(self) -> str:
        return f"{self.batch_id} {self.saga_id} {self.outcome}"
