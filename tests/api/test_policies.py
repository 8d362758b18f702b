"""Policies are the views' own: none is inherited from REST framework, whose settings are the host's."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.urls import get_resolver
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.throttling import UserRateThrottle

from sagas.api import urls, views
from tests.api.people import URL, Caller, error_of, person

PROJECT = Path(__file__).resolve().parents[2]
POLICIES = (
    "authentication_classes",
    "permission_classes",
    "throttle_classes",
    "parser_classes",
    "renderer_classes",
    "content_negotiation_class",
    "metadata_class",
    "versioning_class",
    "pagination_class",
    "filter_backends",
    "http_method_names",
    "schema",
    "get_exception_handler",
)
VIEWS = {pattern.name: pattern.callback.cls for pattern in urls.urlpatterns}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", VIEWS)
def test_policy__is_set_in_this_package(name: str, policy: str) -> None:
    setter = next(cls for cls in VIEWS[name].__mro__ if policy in vars(cls))

    assert setter.__module__.startswith("sagas.api.")


@pytest.mark.parametrize("name", [name for name in VIEWS if name != "answers"])
def test_policy__strangers_are_asked_who_they_are(name: str) -> None:
    names = [cls.__name__ for cls in VIEWS[name].authentication_classes]

    assert names == ["TokenAuthentication", "SessionAuthentication"]
    assert [cls.__name__ for cls in VIEWS[name].permission_classes] == ["IsKnown"]


def run(code: str, **environment: str) -> str:
    """Run Python in a process of its own, on an empty SQLite database; returns what it printed."""
    setup = "import django; django.setup(); from django.core.management import call_command\n"
    command = [sys.executable, "-W", "error::ImportWarning", "-c", setup + textwrap.dedent(code)]
    env = os.environ | {"DATABASE_URL": "sqlite://:memory:", "BROKER_URL": ""} | environment
    result = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_host__can_not_loosen_them() -> None:
    printed = run(
        """
        call_command("migrate", verbosity=0)
        from tests.api import definitions
        from tests.api.people import URL, Caller, error_of

        for stranger in (Caller(None).get(), Caller(None).get(Authorization="Basic b3duZXI6cHc=")):
            assert stranger.status_code == 401, stranger.content
            error_of(stranger)
        owner = Caller("owner")
        body = owner.start(text="é")
        assert body["created_at"].endswith("Z"), body
        assert "é" in owner.get(f"{URL}{body['id']}/").content.decode()
        owner.start()
        page = owner.get(f"{URL}?state=started").json()
        assert len(page["results"]) == 2, page
        assert error_of(owner.get(f"{URL}?state=json"))["code"] == "invalid"
        assert error_of(owner.post(URL, b'{"name": NaN}'))["code"] == "malformed"
        form = owner.post(URL, b"name=api_open", Content_Type="application/x-www-form-urlencoded")
        assert form.status_code == 415, form.content
        assert owner.send("OPTIONS", URL).status_code == 405
        assert owner.get(f"{URL}{'0' * 26}/").status_code == 404
        print("held")
        """,
        DJANGO_SETTINGS_MODULE="tests.api.hostile_settings",
    )

    assert printed == "held\n"


def without(app: str, *, blocked: bool = False) -> str:
    """What includes the API in a project that lacks an app (or its package) prints."""
    block = f"import sys; sys.modules[{app!r}] = None" if blocked else ""
    return run(
        f"""
        from django.core.checks import run_checks
        from django.core.exceptions import ImproperlyConfigured
        from importlib import import_module
        {block}
        try:
            import_module("sagas.api.urls")
        except ImproperlyConfigured as exc:
            print(exc)
        else:
            print("imported")
        """,
        DJANGO_SETTINGS_MODULE="tests.api.bare_settings" if not blocked else "sagaproject.settings",
    )


def test_missing__rest_framework_is_not_installed_in_the_project() -> None:
    assert without("rest_framework") == (
        "sagas.api.urls is included, but 'rest_framework' is not in INSTALLED_APPS: add it, or leave "
        "sagas.api.urls out.\n"
    )


@pytest.mark.parametrize(
    ("module", "package"), [("rest_framework", "djangorestframework"), ("django_filters", "django-filter")]
)
def test_missing__package(module: str, package: str) -> None:
    assert without(module, blocked=True) == (
        f"sagas.api.urls is included, but {package} can not be imported: install what the REST API needs "
        "(pip install 'sagas[api]'), or leave sagas.api.urls out.\n"
    )


def test_missing__tokens_and_openapi_are_optional() -> None:
    """Sessions alone: a stranger still gets a challenge; no description is served."""
    printed = run(
        """
        call_command("migrate", verbosity=0)
        from django.test import Client
        from django.contrib.auth.models import User
        from sagas.api import urls
        from tests.api import definitions

        stranger = Client().get("/api/sagas/")
        print(stranger.status_code, stranger["WWW-Authenticate"])
        client = Client()
        client.force_login(User.objects.create(username="owner"))
        print(client.post("/api/sagas/", {"name": "api_open"}, content_type="application/json").status_code)
        print(client.get("/api/schema/").status_code)
        """,
        DJANGO_SETTINGS_MODULE="tests.api.sessions_settings",
    )

    assert printed.split() == ["401", "Session", "201", "404"]


def test_check__says_that_the_api_is_off(settings: Any) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if not app.startswith("rest_framework")]

    assert "sagas.I001" in {message.id for message in run_checks(tags=["sagas"])}


def test_namespace__is_the_apps() -> None:
    assert "sagas-api" in get_resolver().app_dict


@pytest.mark.django_db
class TestThrottling:
    """Rates are the host's to give; without one nothing is counted."""

    @pytest.fixture(autouse=True)
    def _empty_cache(self) -> None:
        from django.core.cache import cache

        cache.clear()

    def test_scope__with_a_rate(self, owner: Caller, settings: Any) -> None:
        settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"DEFAULT_THROTTLE_RATES": {"sagas.start": "2/day"}}

        codes = [owner.post(URL, {"name": "api_open"}).status_code for _ in range(3)]
        refused = owner.post(URL, {"name": "api_open"})

        assert codes == [201, 201, 429]
        assert error_of(refused)["code"] == "throttled"
        assert int(refused["Retry-After"]) > 0
        assert owner.get().status_code == 200
        assert Caller("other").post(URL, {"name": "api_open"}).status_code == 201

    def test_scope__of_operators(self, boss: Caller, failed: Any, settings: Any) -> None:
        settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"DEFAULT_THROTTLE_RATES": {"sagas.operate": "1/day"}}
        retry = f"{URL}{failed.ulid}/retry/"

        assert boss.post(retry, {"reason": "r"}).status_code == 200
        assert boss.post(f"{URL}{failed.ulid}/compensate/", {"reason": "r"}).status_code == 429
        assert boss.post(URL, {"name": "api_open"}).status_code == 201

    def test_without_a_rate__the_cache_is_not_asked(self, owner: Caller, settings: Any) -> None:
        settings.CACHES = {"default": {"BACKEND": "no.such.Backend"}}

        assert owner.get().status_code == 200

    def test_host__may_give_a_view_its_own(self, db: None) -> None:
        class OnePerDay(UserRateThrottle):
            rate = "1/day"

        view = views.SagaView.as_view(throttle_classes=(OnePerDay,))
        codes = []
        for _ in range(2):
            request = APIRequestFactory().get("/")
            force_authenticate(request, person("owner"))
            codes.append(view(request, id="0" * 26).status_code)

        assert codes == [404, 429]
