"""The project's Celery app: `celery -A sagaproject worker` and `celery -A sagaproject beat`.

Celery runs the housekeeping of `sagas.tasks` on the schedule in the database. It takes no part in running
sagas, and nothing in the web process sends tasks: so nothing imports this module but the celery commands.
"""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sagaproject.settings")

app = Celery("sagaproject")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_logging_of_settings(**kwargs: Any) -> None:
    """Somebody listening to this signal keeps Celery from setting up logging in its own way."""
