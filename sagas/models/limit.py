"""`ActionLimit`: what worker processes have been lent of an action's limits."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .managers import InSagasDatabase


class ActionLimit(models.Model):
    """One action with limits. A worker locks the row while it asks for a share (see `sagas.core.limits`)."""

    name = models.CharField(_("action"), max_length=100, primary_key=True)
    #: Permits held and wanted by worker; when how many attempts were begun.
    state = models.JSONField(_("state"), default=dict)
    #: +1 per asking.
    revision = models.BigIntegerField(_("revision"), default=0)

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("action limit")
        verbose_name_plural = _("action limits")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.name
