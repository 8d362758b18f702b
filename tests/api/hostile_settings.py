"""A host whose REST framework is open to everybody, in other formats, with its own errors."""

from typing import Any

from rest_framework.response import Response

from sagaproject.settings import *  # noqa: F403

ROOT_URLCONF = "sagaproject.urls"
ALLOWED_HOSTS = ["testserver"]
LANGUAGE_CODE = "de"
TIME_ZONE = "Asia/Tokyo"
LOGGING = {"version": 1, "disable_existing_loggers": True}


def everything_is_fine(exc: Exception, context: dict[str, Any]) -> Response:
    return Response({"fine": True})


REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.BrowsableAPIRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.FormParser"],
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning",
    "DEFAULT_VERSION": "none",
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "DEFAULT_FILTER_BACKENDS": ["rest_framework.filters.OrderingFilter"],
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"anon": "1/day"},
    "DEFAULT_METADATA_CLASS": "rest_framework.metadata.SimpleMetadata",
    "EXCEPTION_HANDLER": "tests.api.hostile_settings.everything_is_fine",
    "PAGE_SIZE": 1,
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "STRICT_JSON": False,
    "UNICODE_JSON": False,
    "COMPACT_JSON": False,
    "DATETIME_FORMAT": "%d.%m.%Y",
    "URL_FORMAT_OVERRIDE": "state",
    "FORMAT_SUFFIX_KWARG": "id",
    "NON_FIELD_ERRORS_KEY": "x",
}
