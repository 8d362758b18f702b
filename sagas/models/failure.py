"""Failures that are the same, as groups: kept by `sagas.engine.rollup` with the other counts, for people. Nothing is
decided by them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .managers import InSagasDatabase
from .saga import Saga


class FailureGroup(models.Model):
    """Failures with one signature: definition, step, error code, and the message without what differs."""

    #: See `sagas.core.signature.signature`.
    id = models.UUIDField(_("signature"), primary_key=True, editable=False)
    name = models.CharField(_("definition"), max_length=100)
    step = models.CharField(_("step"), max_length=100)
    code = models.CharField(_("error code"), max_length=100)
    #: The message with placeholders.
    pattern = models.TextField(_("message"), blank=True, default="")
    #: One message as it was, of the latest that was counted, cut; and the saga that it is of.
    example = models.TextField(_("example of a message"), blank=True, default="")
    example_saga = models.UUIDField(_("example"), null=True, blank=True)
    #: How many times a step failed for good in this way, and when.
    total = models.BigIntegerField(_("failures"), default=0)
    first_seen = models.DateTimeField(_("first seen"))
    last_seen = models.DateTimeField(_("last seen"))
    #: Sagas that stand failed in this way now, and need somebody.
    open = models.IntegerField(_("open"), default=0)

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("failure")
        verbose_name_plural = _("failures")
        default_permissions = ()
        indexes = [
            models.Index(fields=["-last_seen"], name="sagas_failure_seen"),
            models.Index(fields=["name", "-last_seen"], name="sagas_failure_name"),
            models.Index(fields=["-open"], name="sagas_failure_open", condition=~models.Q(open=0)),
        ]

    def __str__(self) -> str:
        return f"{self.step}: {self.code}"


class FailureHour(models.Model):
    """How often a group's failure happened in an hour."""

    group = models.ForeignKey(
        FailureGroup, verbose_name=_("failure"), on_delete=models.CASCADE, related_name="hours", db_index=False
    )
    hour = models.DateTimeField(_("hour"))
    count = models.PositiveIntegerField(_("failures"), default=0)

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("hour of failures")
        verbose_name_plural = _("hours of failures")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["group", "hour"], name="sagas_failure_hour")]
        indexes = [models.Index(fields=["hour"], name="sagas_failure_when")]

    def __str__(self) -> str:
        return f"{self.hour} {self.group_id}: {self.count}"


class FailedSaga(models.Model):
    """A saga that failed in the way of a group: it does now, or it once did."""

    group = models.ForeignKey(
        FailureGroup, verbose_name=_("failure"), on_delete=models.CASCADE, related_name="members", db_index=False
    )
    #: No constraint in the database: rows that somebody deletes there are missed by the next full count.
    saga = models.ForeignKey(
        Saga,
        verbose_name=_("saga"),
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    #: The time of its latest failure of this kind.
    at = models.DateTimeField(_("failed at"))
    #: It stands so, and needs somebody.
    open = models.BooleanField(_("open"), default=False)

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("failed saga")
        verbose_name_plural = _("failed sagas")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["saga", "group"], name="sagas_failed")]
        indexes = [
            models.Index(fields=["group", "saga"], name="sagas_failed_ever"),
            models.Index(fields=["group", "saga"], name="sagas_failed_open", condition=models.Q(open=True)),
            models.Index(fields=["at"], name="sagas_failed_old", condition=models.Q(open=False)),
        ]

    def __str__(self) -> str:
        return f"{self.saga_id}: {self.group_id}"
