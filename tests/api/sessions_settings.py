"""The project with REST framework alone: no tokens, no drf-spectacular."""

from sagaproject.settings import *  # noqa: F403
from sagaproject.settings import INSTALLED_APPS as _ALL

INSTALLED_APPS = [app for app in _ALL if app not in ("rest_framework.authtoken", "drf_spectacular")]
ALLOWED_HOSTS = ["testserver"]
REST_FRAMEWORK: dict[str, object] = {}
LOGGING = {"version": 1, "disable_existing_loggers": True}
