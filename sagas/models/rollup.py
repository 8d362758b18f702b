"""The rollup: small tables of counts for people's pages, so that none of these reads all sagas. Kept by
`sagas.engine.rollup`; nothing is decided by them, and whoever empties them gets them counted anew."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .managers import InSagasDatabase


class Rollup(models.Model):
    """How far the counting is: one row. Whoever counts holds its lock."""

    #: The only row's key.
    ONLY = 1

    id = models.PositiveSmallIntegerField(_("id"), primary_key=True, default=ONLY, editable=False)
    #: Every history entry up to this one is counted; NULL = the counting has not begun.
    cursor = models.BigIntegerField(_("cursor"), null=True, blank=True)
    #: The moment that the counts are of.
    counted_at = models.DateTimeField(_("counted at"), null=True, blank=True)
    #: Where the history will be complete once the transactions named here have ended.
    mark = models.JSONField(_("mark"), default=dict, blank=True)
    #: The full count that is under way has come to this saga; NULL = none is under way.
    walk = models.UUIDField(_("walk"), null=True, blank=True)
    #: When the last full count was done; NULL = none was yet.
    walked_at = models.DateTimeField(_("walked at"), null=True, blank=True)
    #: The hours before the counting began are filled in from this entry downwards; NULL = they are.
    backfill = models.BigIntegerField(_("backfill"), null=True, blank=True)
    #: What was seen of living sagas: who needs attention, who is stale, which are the oldest.
    facts = models.JSONField(_("facts"), default=dict, blank=True)
    #: There is more to count at once than the last look did.
    behind = models.BooleanField(_("behind"), default=True)
    #: The time of the last look.
    refreshed_at = models.DateTimeField(_("refreshed at"), null=True, blank=True)
    #: When the stale monitor (celery beat, cron) has run last.
    monitored_at = models.DateTimeField(_("stale monitor"), null=True, blank=True)

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("rollup")
        verbose_name_plural = _("rollups")
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.cursor}"


class SagaCount(models.Model):
    """How many sagas of a definition's version are in a state."""

    name = models.CharField(_("name"), max_length=100)
    version = models.CharField(_("version"), max_length=50)
    state = models.CharField(_("state"), max_length=12)
    count = models.BigIntegerField(_("count"), default=0)
    #: The same, of the sagas that the full count under way has come to.
    recount = models.BigIntegerField(_("recount"), default=0)

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("count of sagas")
        verbose_name_plural = _("counts of sagas")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["name", "version", "state"], name="sagas_rollup_count")]

    def __str__(self) -> str:
        return f"{self.name} {self.version} {self.state}: {self.count}"


class SagaHour(models.Model):
    """What happened to the sagas of a definition in an hour."""

    hour = models.DateTimeField(_("hour"))
    name = models.CharField(_("name"), max_length=100)
    started = models.PositiveIntegerField(_("started"), default=0)
    completed = models.PositiveIntegerField(_("completed"), default=0)
    compensated = models.PositiveIntegerField(_("rolled back"), default=0)
    failed = models.PositiveIntegerField(_("failed"), default=0)

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("hour of sagas")
        verbose_name_plural = _("hours of sagas")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["hour", "name"], name="sagas_rollup_hour")]

    def __str__(self) -> str:
        return f"{self.hour} {self.name}"


class StepHour(models.Model):
    """How long a step took, from its first attempt until it was done, in an hour."""

    hour = models.DateTimeField(_("hour"))
    name = models.CharField(_("name"), max_length=100)
    step = models.CharField(_("step"), max_length=100)
    #: How many by `sagas.engine.rollup.durations.bin_of`.
    bins = models.JSONField(_("durations"), default=dict)

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("hour of steps")
        verbose_name_plural = _("hours of steps")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["name", "hour", "step"], name="sagas_rollup_step")]

    def __str__(self) -> str:
        return f"{self.hour} {self.name} {self.step}"
