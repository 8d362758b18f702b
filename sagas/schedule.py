"""The beat entry: made after `migrate` where django-celery-beat is installed; an operator's edit is kept."""

from __future__ import annotations

import json
from typing import Any

from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.db import router
from django.db.models.signals import post_migrate
from django.utils import timezone

#: The entry's name in django-celery-beat's admin; also how it is recognised.
ENTRY = "sagas: flag stale sagas"
TASK = "sagas.flag_stale"
_EVERY_MINUTES = 5


def _ensure_entry(using: str, apps: Apps = global_apps, **kwargs: Any) -> None:
    """`apps`: the models as of the migrations that have run; going backwards there may be none of beat's left."""
    try:
        entries = apps.get_model("django_celery_beat", "PeriodicTask")
    except LookupError:
        return
    if using != router.db_for_write(entries) or entries.objects.using(using).filter(name=ENTRY).exists():
        return
    schedules = apps.get_model("django_celery_beat", "IntervalSchedule").objects.using(using)
    # Not get_or_create: nothing keeps two equal intervals out of that table.
    every = {"every": _EVERY_MINUTES, "period": "minutes"}
    schedule = schedules.filter(**every).first() or schedules.create(**every)
    entries.objects.using(using).get_or_create(
        name=ENTRY, defaults={"task": TASK, "interval": schedule, "args": json.dumps([]), "kwargs": json.dumps({})}
    )
    # What a running beat looks at to know that it must read the table again.
    changes = apps.get_model("django_celery_beat", "PeriodicTasks").objects.using(using)
    changes.update_or_create(ident=1, defaults={"last_update": timezone.now()})


def _forget_graphs(**kwargs: Any) -> None:
    """A flush (tests) takes the graphs' rows away: what this process remembers of them is out of date."""
    from .store import orm

    orm.forget()


def connect() -> None:
    """Called by the app's `ready`."""
    post_migrate.connect(_forget_graphs, dispatch_uid="sagas.graphs")
    if global_apps.is_installed("django_celery_beat"):
        post_migrate.connect(
            _ensure_entry, sender=global_apps.get_app_config("django_celery_beat"), dispatch_uid="sagas.schedule"
        )


connect()
