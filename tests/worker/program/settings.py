"""The project's settings with this app added, for `manage.py saga_worker`."""

from sagaproject.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.worker.program"]  # noqa: F405
