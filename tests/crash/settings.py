"""The project without its pages and its API, for programs that only run sagas: they start sooner."""

from datetime import timedelta

from sagaproject.settings import *  # noqa: F403
from sagaproject.settings import INSTALLED_APPS as ALL_APPS
from sagas.core import readiness

_PAGES = {
    "django.contrib.admin",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_filters",
    "drf_spectacular",
    "rest_framework",
    "rest_framework.authtoken",
}
INSTALLED_APPS = [name for name in ALL_APPS if name not in _PAGES]
ROOT_URLCONF = __name__
urlpatterns: list[object] = []

# What nobody was told of is found by the sweep that looks again at a saga at work; here it need not take half a minute.
readiness.RECHECK = timedelta(seconds=5)
