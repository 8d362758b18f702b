"""Everything that is to be hidden holds one word. Every page, every answer over REST, every command and every line of
the logs is looked at: it stands nowhere but where it was asked for, with a reason, by somebody who may.

Driven by the URL configurations and by the list of commands, so that what is new is looked at, too.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import call_command
from django.db.models import JSONField
from django.test import Client
from django.urls import reverse

import sagas
from sagas import Rejected
from sagas.api import urls as api_urls
from sagas.core.redaction import REDACTED
from sagas.engine.rollup import refresh
from sagas.models import HistoryEntry, Saga, Step
from sagas.testing import run_saga
from tests.admin import matrix, pages, scenes
from tests.admin.scenes import CANARY
from tests.api.people import URL, Caller

pytestmark = pytest.mark.django_db
SECRETS = {"password": f"{CANARY}-1", "deep": [{"cardNumber": {"parts": [f"{CANARY}-2"]}}], "API-Key": f"{CANARY}-3"}
#: JSON that holds no payload: names of steps, positions.
NO_PAYLOAD = {"depends_on", "tags"}


def riddle(saga: Saga) -> Saga:
    """Put secrets into every payload that the saga has, those of columns that are new too; and into its history."""
    for model, rows in (
        (Saga, Saga.objects.filter(pk=saga.pk)),
        (Step, saga.steps.all()),
        (HistoryEntry, saga.history.all()),
    ):
        columns = [one.name for one in model._meta.fields if isinstance(one, JSONField) and one.name not in NO_PAYLOAD]
        for row in rows:
            values = {name: _with_secrets(getattr(row, name)) for name in columns}
            model.objects.filter(pk=row.pk).update(**values)
    return scenes.fresh(saga)


def _with_secrets(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return {**SECRETS, "number": "A-1"}
    steps = value.get("steps")
    inner = {"steps": {at: {**diff, **SECRETS} for at, diff in steps.items()}} if isinstance(steps, dict) else {}
    return {**value, **SECRETS, **inner}


def sung(text: str) -> list[str]:
    """Where the canary is heard, with a few words around it: a whole page would drown the failure."""
    return re.findall(f".{{0,60}}{CANARY}.{{0,20}}", text)


def harmless(response: Any) -> None:
    assert response.status_code != 500
    assert sung(response.content.decode()) == []
    assert sung(str(response.headers)) == []


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """All that is logged, at every level, with what stands beside it."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="sagas")
    yield caplog
    # The queries themselves are the test's: a database's own log is not ours to keep clean.
    ours = (record for record in caplog.records if record.name != "django.db.backends")
    assert [(record.name, found) for record in ours if (found := sung(str(vars(record))))] == []


# -- the admin


@pytest.mark.parametrize("plight", ["secret", "waiting", "debt", "awaiting_approval", "awaiting_undo"])
def test_pages(plight: str, operator: Client, logged: Any) -> None:
    saga = riddle(scenes.PLIGHTS[plight]())
    refresh(force=True)
    key = {"saga": pages.item(saga), "like": saga.ulid, "step": "0", "q": saga.ulid}
    for name, address in matrix.ADDRESSES.items():
        plain = address(saga)

        harmless(operator.get(plain))
        harmless(operator.get(plain, key))
        if name != "sagas_saga_start":
            harmless(operator.post(plain, key))
    for part in ("context", "input", "output", "undo_output"):
        harmless(operator.get(matrix.url("sagas_saga_payload", saga.ulid), {"part": part, "step": "0"}))
    assert operator.get(pages.page(saga)).content.decode().count(REDACTED) >= 3


@pytest.mark.parametrize("verb", matrix.PLIGHTS)
def test_actions(verb: str, operator: Client, logged: Any) -> None:
    """Asked for, sent without a reason, refused because the saga has moved, and done."""
    made, _step, typed = matrix.PLIGHTS[verb]
    saga = riddle(made())
    form, address = matrix.verb_form(verb, saga), pages.act(verb)

    asked = operator.post(address, form)
    empty = operator.post(address, form | typed | {"confirmed": "yes"})
    moved = operator.post(address, form | typed | matrix.CONFIRMED | {"saga": pages.item(saga, 1)}, follow=True)
    back = {} if asked.context is None or "form" not in asked.context else _as_shown(asked.context["form"])
    done = operator.post(address, form | back | typed | matrix.CONFIRMED | {"origin": "page"}, follow=True)

    for response in (asked, empty, moved, done, operator.get(pages.LIST), operator.get(pages.page(saga))):
        harmless(response)
    assert sung(str(list(LogEntry.objects.values()))) == []


def _as_shown(form: Any) -> dict[str, str]:
    """What the form begins with, sent back as it came."""
    return {name: str(form[name].value()) for name in form.fields if form[name].value() is not None}


def test_start__again_like_one(operator: Client, logged: Any) -> None:
    saga = riddle(scenes.ended())
    address = f"{reverse('admin:sagas_saga_start', args=[saga.name])}?like={saga.ulid}"

    form = operator.get(address)
    wrong = operator.post(address, _as_shown(form.context["form"]))
    done = operator.post(address, _as_shown(form.context["form"]) | {"reason": "because"}, follow=True)

    for response in (form, wrong, done):
        harmless(response)
    assert Saga.objects.latest("id").context["password"] == SECRETS["password"]


def test_reveal__is_the_only_way(operator: Client, logged: Any) -> None:
    saga = riddle(scenes.secret())
    address, form = reverse("admin:sagas_saga_reveal"), {"saga": pages.item(saga)}

    for response in (operator.get(address, form | matrix.CONFIRMED), operator.post(address, form)):
        harmless(response)
    shown = operator.post(address, form | matrix.CONFIRMED)

    assert sung(shown.content.decode())
    assert "no-store" in shown.headers["Cache-Control"]
    harmless(operator.get(pages.page(saga)))


# -- REST


def rest_addresses(saga: Saga) -> Iterator[str]:
    """Every address of the API."""
    for pattern in api_urls.urlpatterns:
        if pattern.name == "unknown":
            yield f"{URL}{saga.ulid}/no/such/"
        else:
            yield reverse(f"sagas-api:{pattern.name}", args=[saga.ulid] if pattern.pattern.converters else [])


BODIES = (
    {},
    {"reason": "because"},
    {"reason": "because", "step": "charge", "input": {"password": REDACTED, "token": [SECRETS]}},
    {"reason": "because", "step": 0, "output": "not an object", "context": [1], "name": "paid", "payload": 1},
    {"name": "admin_short", "context": {"number": 7}, "idempotency_key": "k", "tags": 5},
)


def test_rest(logged: Any) -> None:
    boss, saga = Caller("boss"), riddle(scenes.secret(owner="boss"))
    said = []
    for address in rest_addresses(saga):
        responses = [boss.send(method, address) for method in ("GET", "OPTIONS", "HEAD")]
        for body in BODIES:
            responses.append(boss.send("POST", address, body))
        said += responses

    assert len(said) > 100
    for response in said:
        harmless(response)
    assert REDACTED in boss.send("GET", f"{URL}{saga.ulid}/").content.decode()


# -- commands


def commands() -> list[str]:
    found = (Path(sagas.__file__).parent / "management" / "commands").glob("saga_*.py")
    return sorted(path.stem for path in found)


def calls(saga: Saga, mapping: Path) -> dict[str, list[list[str]]]:
    """Command → the arguments that it is called with."""
    moving = ["admin_secret", "--from-version", "1", "--to-version", "2", "--map", str(mapping), "--reason", "because"]
    formats = ("text", "mermaid", "dot", "svg")
    return {
        "saga_check": [[], [saga.ulid], ["--alive"]],
        "saga_deploy_check": [[]],
        "saga_flag_stale": [[]],
        "saga_graph": [
            *(["--saga", saga.ulid, "--format", one] for one in formats),
            *(["admin_secret", "--format", one] for one in formats),
        ],
        "saga_migrate": [[*moving, "--dry-run"], moving],
    }


#: Runs handlers, until it is stopped; what it logs, `test_logs__of_a_run` looks at.
ENDLESS = {"saga_worker"}


def test_commands(tmp_path: Path, logged: Any, capfd: pytest.CaptureFixture[str]) -> None:
    mapping = tmp_path / "map.json"
    mapping.write_text(json.dumps({"charge": "charge", "ship": "ship"}))
    saga = riddle(scenes.secret())
    riddle(scenes.waiting())
    wanted = calls(saga, mapping)

    assert set(wanted) | ENDLESS == set(commands()), "a command that is new is looked at, too"
    for name, all_arguments in wanted.items():
        for arguments in all_arguments:
            try:
                call_command(name, *arguments)
            except (SystemExit, Exception) as exc:
                print(name, arguments, exc)  # noqa: T201
    told = capfd.readouterr()

    assert "violations" in told.out
    assert "charge" in told.out
    assert sung(told.out + told.err) == []


# -- logs


@pytest.mark.parametrize("failure", [None, Rejected("no", code="closed"), RuntimeError("the bank is closed")])
def test_logs__of_a_run(failure: Exception | None, logged: Any) -> None:
    context = {"number": "A-1", "token": CANARY, "customer": {"name": "ines", "street": CANARY}}

    run = run_saga("admin_secret", context, fail={"ship": failure} if failure else {})

    assert run.state == ("compensated" if failure else "completed")
