"""Where the app's rows are looked for."""

from __future__ import annotations

from typing import TypeVar

from django.db import DEFAULT_DB_ALIAS, models

from ..conf import app_settings

_Row = TypeVar("_Row", bound=models.Model)


class InSagasDatabase(models.Manager[_Row]):
    """Looks into `SAGAS["DATABASE"]`, unless `using` says otherwise."""

    def get_queryset(self) -> models.QuerySet[_Row]:
        """See the class."""
        found = super().get_queryset()
        alias = app_settings().DATABASE
        return found.using(alias) if self._db is None and alias != DEFAULT_DB_ALIAS else found
