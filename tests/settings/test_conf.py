"""The `SAGAS` dict: typed, units clear, unusable values named, read anew when it changes."""

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from sagas import RetryPolicy
from sagas.conf import AppSettings, app_settings, default, read
from sagas.engine.notify import hint_grace, topology
from sagas.store import get_store
from sagas.store.memory import MemoryStore

DURATIONS = [f.name for f in fields(AppSettings) if isinstance(default(f.name), timedelta)]
NUMBERS = [f.name for f in fields(AppSettings) if isinstance(default(f.name), int)]
POLICIES = [f.name for f in fields(AppSettings) if isinstance(default(f.name), RetryPolicy)]
TEXTS = [f.name for f in fields(AppSettings) if isinstance(default(f.name), str)]


def test_settings__of_every_kind() -> None:
    assert len(DURATIONS) >= 7
    assert len(NUMBERS) >= 5
    assert POLICIES == ["DEFAULT_RETRY", "DEFAULT_COMPENSATION_RETRY"]
    assert {*DURATIONS, *NUMBERS, *POLICIES, *TEXTS, "BROKER_URL", "SENSITIVE", "OPERATORS"} == {
        f.name for f in fields(AppSettings)
    }


@override_settings(SAGAS={})
def test_defaults() -> None:
    found = app_settings()

    assert (found.BROKER_URL, found.EXCHANGE, found.STEP_QUEUE, found.COMPENSATE_QUEUE) == (
        None, "sagas", "saga.steps", "saga.compensate",
    )  # fmt: skip
    assert (found.STALE_AFTER, found.DEFAULT_TIMEOUT) == (timedelta(hours=1), timedelta(seconds=60))
    assert found.DEFAULT_RETRY == RetryPolicy(max_attempts=3, base=1.0, factor=2.0, jitter=True)
    assert found.STORE == "sagas.store.orm.OrmStore"


def test_no_dict_at_all__is_the_defaults(settings: Any) -> None:
    del settings.SAGAS

    assert app_settings() == AppSettings()


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize(
    ("given", "found"),
    [(90, timedelta(seconds=90)), (0.25, timedelta(milliseconds=250)), (timedelta(days=2), timedelta(days=2))],
)
def test_duration__timedelta_or_seconds(name: str, given: Any, found: timedelta) -> None:
    assert read({name: given}) == ({name: found}, [])


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize(
    "given", ["1 h", "60", True, 0, -1, timedelta(0), timedelta(-1), [], float("nan"), float("inf"), 1e300]
)
def test_duration__anything_else_is_named(name: str, given: Any) -> None:
    values, (problem,) = read({name: given})

    assert values == {}
    assert problem.startswith(f"SAGAS[{name!r}]: ")
    assert "duration" in problem or "timedelta" in problem


@pytest.mark.parametrize("name", DURATIONS)
def test_duration__none_turns_reminders_off__and_nothing_else(name: str) -> None:
    values, problems = read({name: None})

    assert (values, bool(problems)) == (({name: None}, False) if name == "DEBT_REMINDER" else ({}, True))


@pytest.mark.parametrize("name", NUMBERS)
def test_number(name: str) -> None:
    assert read({name: 7}) == ({name: 7}, [])
    for given in (0, -1, 1.5, "7", True, None):
        values, (problem,) = read({name: given})
        assert values == {}
        assert problem == f"SAGAS[{name!r}]: expected a whole number of 1 or more, got {given!r}"


@pytest.mark.parametrize("name", POLICIES)
def test_policy(name: str) -> None:
    policy = RetryPolicy(max_attempts=7, base=0.5)

    assert read({name: policy}) == ({name: policy}, [])
    assert read({name: {"max_attempts": 7, "base": 0.5}}) == ({name: policy}, [])
    for given in (3, "x", None, {"max_attempts": 0}, {"attempts": 3}, {"base": -1}, {"base": "x"}):
        values, (problem,) = read({name: given})
        assert values == {}
        assert problem.startswith(f"SAGAS[{name!r}]: ")


@pytest.mark.parametrize("name", TEXTS)
def test_text(name: str) -> None:
    assert read({name: "some.text"}) == ({name: "some.text"}, [])
    for given in (None, 7, b"x", ["x"], *([""] if name != "CRASH_AT" else [])):
        values, (problem,) = read({name: given})
        assert values == {}
        assert problem == f"SAGAS[{name!r}]: expected text, got {given!r}"


def test_broker_url__none_and_nothing_mean_no_broker() -> None:
    assert read({"BROKER_URL": None}) == ({"BROKER_URL": None}, [])
    assert read({"BROKER_URL": ""}) == ({"BROKER_URL": None}, [])
    assert read({"BROKER_URL": 7})[1] == ["SAGAS['BROKER_URL']: expected text, got 7"]


@pytest.mark.parametrize("name", ["BROKER_ULR", "broker_url", 7])
def test_unknown__is_named_with_those_that_are_known(name: Any) -> None:
    values, (problem,) = read({name: 1})

    assert values == {}
    assert problem.startswith(f"SAGAS: unknown setting {name!r}; known: BROKER_URL, CONNECTION_NAME, ")


@pytest.mark.parametrize("raw", [None, [], "x", 7])
def test_no_dict__is_named(raw: Any) -> None:
    assert read(raw) == ({}, [f"SAGAS: expected a dict, got {type(raw).__name__}"])


def test_several_problems__are_all_named() -> None:
    values, problems = read({"THREADS": 0, "GRACE": 5, "X": 1, "LEASE": "x"})

    assert values == {"GRACE": timedelta(seconds=5)}
    assert len(problems) == 3


def test_unusable_values__are_replaced_by_defaults_until_somebody_checks() -> None:
    with override_settings(SAGAS={"THREADS": "many", "GRACE": 5}):
        assert (app_settings().THREADS, app_settings().GRACE) == (AppSettings().THREADS, timedelta(seconds=5))


def test_changed__is_read_anew_everywhere(settings: Any) -> None:
    settings.SAGAS = {"THREADS": 3, "BROKER_URL": "amqp://guest@localhost/", "HINT_GRACE": 9, "STEP_QUEUE": "one"}
    first = topology()
    assert (app_settings().THREADS, hint_grace()) == (3, timedelta(seconds=9))
    assert first is not None
    assert first.step_queue == "one"

    settings.SAGAS = {"THREADS": 4, "STORE": "sagas.store.memory.MemoryStore"}

    assert (app_settings().THREADS, hint_grace(), topology()) == (4, timedelta(0), None)
    assert isinstance(get_store(), MemoryStore)
    assert get_store() is get_store()


def test_other_settings__change_nothing(settings: Any) -> None:
    before = app_settings()

    settings.LANGUAGE_CODE = "de"

    assert app_settings() is before


def test_frozen() -> None:
    with pytest.raises(AttributeError):
        app_settings().THREADS = 9  # type: ignore[misc]


def test_sensitive__a_list_of_names__or_one_text_with_commas() -> None:
    assert read({"SENSITIVE": ["a", "b.c"]}) == ({"SENSITIVE": ("a", "b.c")}, [])
    assert read({"SENSITIVE": "a, b.c,"}) == ({"SENSITIVE": ("a", "b.c")}, [])
    assert read({"SENSITIVE": []}) == ({"SENSITIVE": ()}, [])


@pytest.mark.parametrize("given", [None, 7, [7], ["."], {"a": 1}, [""]])
def test_sensitive__what_is_not_usable_is_named__and_the_defaults_hide(given: Any) -> None:
    values, (problem,) = read({"SENSITIVE": given})

    assert values == {}
    assert problem.startswith("SAGAS['SENSITIVE']: ")
