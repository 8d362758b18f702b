"""`SagaLock`: who has a semantic lock, and who stands in line for it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .managers import InSagasDatabase
from .saga import Saga


class SagaLock(models.Model):
    """A living saga that has a lock, or waits for it. Its id is its place in the line; an ended saga has no row."""

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(_("key"), max_length=200)
    saga = models.OneToOneField(Saga, verbose_name=_("saga"), on_delete=models.CASCADE, related_name="+")
    held = models.BooleanField(_("held"), default=False)

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("saga lock")
        verbose_name_plural = _("saga locks")
        default_permissions = ("view",)
        indexes = [models.Index(fields=["key", "id"], name="sagas_lock_line")]
        constraints = [models.UniqueConstraint(fields=["key"], name="sagas_lock_holder", condition=models.Q(held=True))]

    def __str__(self) -> str:
        return self.key
