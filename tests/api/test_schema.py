"""The description for programs: valid, complete, only of this API, and only for those who may use it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.api.people import Caller

SCHEMA = "/api/schema/"
VERBS = (
    "compensate", "retry", "cancel", "pause", "resume", "run-now", "retry-with", "skip", "approve", "deny", "resolve",
    "roll-back-to", "assign", "signal", "restart",
)  # fmt: skip


class HostView(APIView):
    """A view of the host's, not for our users' eyes."""

    def get(self, request: Any) -> Response:
        return Response()


urlpatterns = [path("backend/", include("sagas.api.urls")), path("private/", HostView.as_view())]


def test_command__has_nothing_to_warn_of(tmp_path: Path) -> None:
    target = tmp_path / "schema.yml"

    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(target))

    described = yaml.safe_load(target.read_text())
    ours = {address: set(methods) for address, methods in described["paths"].items() if "sagas" in address}
    assert ours == {
        "/api/sagas/": {"get", "post"},
        "/api/sagas/{id}/": {"get"},
        "/api/sagas/answers/": {"post"},
        **{f"/api/sagas/{{id}}/{verb}/": {"post"} for verb in VERBS},
    }


@pytest.mark.django_db
def test_schema__names_every_field_of_the_body(owner: Caller) -> None:
    schemas = owner.get(SCHEMA).json()["components"]["schemas"]
    body = owner.start()

    assert set(schemas["Saga"]["properties"]) == set(body)
    assert set(schemas["Step"]["properties"]) == set(body["steps"][0])
    assert set(schemas["Error"]["properties"]) == {"error"}


@pytest.mark.django_db
def test_schema__documents_errors_and_headers(owner: Caller) -> None:
    start = owner.get(SCHEMA).json()["paths"]["/api/sagas/"]["post"]

    assert set(start["responses"]) == {"200", "201", "400", "401", "403", "415", "422", "429", "503"}
    assert {parameter["name"] for parameter in start["parameters"]} == {"Idempotency-Key", "X-Request-ID"}
    assert start["operationId"] == "sagas_start"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("verb", "fields", "needed"),
    [
        ("pause", {"reason"}, "sagas.pause_saga"),
        ("retry-with", {"reason", "step", "input"}, "sagas.steer_saga"),
        ("approve", {"reason", "step", "expected_revision"}, "sagas.approve_saga"),
        ("resolve", {"reason", "step", "done"}, "sagas.resolve_saga"),
        ("signal", {"name"}, "sagas.signal_saga"),
        ("restart", {"reason"}, "sagas.restart_saga"),
    ],
)
def test_schema__says_what_a_verb_takes(owner: Caller, verb: str, fields: set[str], needed: str) -> None:
    described = owner.get(SCHEMA).json()
    post = described["paths"][f"/api/sagas/{{id}}/{verb}/"]["post"]

    name = post["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert set(described["components"]["schemas"][name]["required"]) == fields
    assert needed in post["description"]
    assert post["operationId"] == f"sagas_{verb.replace('-', '_')}"
    more = {"201", "422"} if verb == "restart" else set()
    assert set(post["responses"]) == {"200", "400", "401", "403", "404", "409", "415", "429", "503"} | more
    headers = {parameter["name"] for parameter in post["parameters"] if parameter["in"] == "header"}
    assert ("Idempotency-Key" in headers) is (verb == "restart")


@pytest.mark.django_db
def test_schema__answers_need_no_login(owner: Caller) -> None:
    post = owner.get(SCHEMA).json()["paths"]["/api/sagas/answers/"]["post"]

    assert post.get("security", [{}]) in ([], [{}])
    assert set(post["responses"]) == {"200", "400", "403", "404", "409", "415", "429", "503"}


@pytest.mark.django_db
@pytest.mark.urls("tests.api.test_schema")
def test_schema__is_of_this_api_alone_wherever_it_lives(owner: Caller) -> None:
    paths = owner.get("/backend/schema/").json()["paths"]

    assert set(paths) == {
        "/backend/sagas/",
        "/backend/sagas/{id}/",
        "/backend/sagas/answers/",
        *(f"/backend/sagas/{{id}}/{verb}/" for verb in VERBS),
    }


@pytest.mark.django_db
def test_schema__not_for_strangers(stranger: Caller) -> None:
    assert stranger.get(SCHEMA).status_code == 401
