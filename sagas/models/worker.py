"""`Worker`: one start of one worker process. A claim whose worker has no row belongs to a dead process."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from ..definitions.ids import new_id
from .managers import InSagasDatabase


class Worker(models.Model):
    """A process that runs handlers; its beat counter tells the others that it lives."""

    id = models.UUIDField(_("id"), primary_key=True, default=new_id, editable=False)
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveIntegerField(_("process id"))
    #: Queues it serves; NULL = all.
    queues = models.JSONField(_("queues"), null=True, blank=True)
    #: Names of the handlers it knows.
    handlers = models.JSONField(_("handlers"), default=list)
    slots = models.PositiveIntegerField(_("slots"), default=0)
    free_slots = models.IntegerField(_("free slots"), default=0)
    #: Depth of the broker's queues, as it saw them last.
    queue_depths = models.JSONField(_("queue depths"), default=dict)
    #: What it ran at its last beat: how many steps, and the first of them, the longest running first.
    running = models.JSONField(_("running steps"), null=True, blank=True)
    #: +1 a second while it lives. A counter, not a time: clocks may jump.
    beat = models.BigIntegerField(_("beat"), default=0)
    #: Its supervisor (or another worker) found it dead: its claims are being taken over.
    dead = models.BooleanField(_("dead"), default=False)
    started_at = models.DateTimeField(_("started at"), auto_now_add=True)
    beat_at = models.DateTimeField(_("last beat"), null=True, blank=True)

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}"
