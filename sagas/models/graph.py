"""`SagaGraph`: the frozen steps and policies, shared by all sagas that were started with them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .managers import InSagasDatabase


class SagaGraph(models.Model):
    """One frozen graph, by the SHA-256 of its canonical JSON. Immutable."""

    hash = models.CharField(_("hash"), max_length=64, primary_key=True)
    data = models.JSONField(_("data"))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("saga graph")
        verbose_name_plural = _("saga graphs")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.hash[:12]


class Definition(SagaGraph):
    """What graphs are versions of: the admin's pages about definitions hang here. Definitions are code, and no rows."""

    class Meta:
        proxy = True
        verbose_name = _("saga definition")
        verbose_name_plural = _("saga definitions")
        default_permissions = ()
