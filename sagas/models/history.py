"""`HistoryEntry`: one line of what happened to a saga. Append-only."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from .managers import InSagasDatabase
from .saga import Saga

#: The newest first, where the entries of one saga are asked for. Not the key itself: for a saga with many entries
#: PostgreSQL would walk back through its index, past the entries of all sagas that came later (1 s among 20 million).
NEWEST_FIRST = (models.F("id") + 0).desc()


class HistoryEntry(models.Model):
    """One transition (with a seq), or a note (without)."""

    #: No constraint in the database: the store writes both under the saga's lock.
    saga = models.ForeignKey(
        Saga,
        verbose_name=_("saga"),
        on_delete=models.CASCADE,
        related_name="history",
        db_index=False,
        db_constraint=False,
    )
    #: The saga's revision after it, from 1 without gaps; NULL for notes.
    seq = models.PositiveIntegerField(_("seq"), null=True, blank=True)
    kind = models.CharField(_("kind"), max_length=30)
    #: The step's name, where it is about one.
    step = models.CharField(_("step"), max_length=100, blank=True, default="")
    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    round = models.PositiveSmallIntegerField(_("round"), default=0)
    #: Who asked for it; empty for the engine itself.
    actor = models.CharField(_("actor"), max_length=150, blank=True, default="")
    reason = models.TextField(_("reason"), blank=True, default="")
    #: States, counters and times that changed (never payloads).
    data = models.JSONField(_("changes"), default=dict)
    #: At most one note per key.
    note_key = models.CharField(_("note key"), max_length=80, null=True, blank=True)  # noqa: DJ001
    at = models.DateTimeField(_("at"))

    objects = InSagasDatabase()

    class Meta:
        verbose_name = _("history entry")
        verbose_name_plural = _("history entries")
        default_permissions = ("view",)
        ordering = ("saga", "id")
        constraints = [
            models.UniqueConstraint(fields=["saga", "seq"], name="sagas_history_seq"),
            models.UniqueConstraint(
                fields=["saga", "note_key"], name="sagas_history_note", condition=models.Q(note_key__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.seq or '-'} {self.kind}"
