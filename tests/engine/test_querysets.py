"""The questions that are asked about sagas."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from sagas.core import triggers as t
from sagas.core.states import SagaState
from sagas.models import HistoryEntry, Saga, Step
from sagas.store import get_store
from sagas.store.base import Submission

from .kit import Hand, Kit

pytestmark = pytest.mark.usefixtures("pg")


@pytest.fixture
def sagas(kit: Kit, hand: Hand) -> dict[str, Saga]:
    """One in every state, by its name; and one with a debt."""
    definition = kit.pair()
    ways = {
        "started": [],
        "completed": [t.Completed, t.Completed],
        "compensated": [t.Rejected],
        "compensating": [t.Completed, t.Rejected],
        "debt": [t.Completed, t.Rejected, t.Rejected],
        "failed": [t.Rejected],
    }
    return {
        name: hand.run(Saga.objects.start(definition, owner=name, rollback=name != "failed"), *way)
        for name, way in ways.items()
    }


def names(sagas: object) -> set[str]:
    return {saga.owner for saga in sagas}  # type: ignore[attr-defined]


def test_active__those_that_have_not_ended(sagas: dict[str, Saga]) -> None:
    assert names(Saga.objects.active()) == {"started", "compensating", "debt"}


def test_needing_attention(sagas: dict[str, Saga]) -> None:
    assert names(Saga.objects.needing_attention()) == {"debt"}


def test_stale__those_that_are_flagged(sagas: dict[str, Saga]) -> None:
    get_store().apply([Submission(sagas["started"].pk, t.FlagStale())])

    assert names(Saga.objects.stale()) == {"started"}


def test_querysets__can_be_chained(sagas: dict[str, Saga]) -> None:
    assert names(Saga.objects.filter(owner="debt").active().needing_attention()) == {"debt"}
    assert not Saga.objects.active().stale().exists()


def test_without_progress(sagas: dict[str, Saga]) -> None:
    now = timezone.now()
    later = now + timedelta(hours=2)

    assert names(Saga.objects.all().without_progress(now=now)) == set()
    assert names(Saga.objects.all().without_progress(now=later)) == {"started", "compensating"}
    assert names(Saga.objects.all().without_progress(now=later, since=timedelta(hours=3))) == set()


def test_is__exactly_one_of_the_five(sagas: dict[str, Saga]) -> None:
    for name, saga in sagas.items():
        true = [state for state in SagaState if getattr(saga, f"is_{state}")]
        assert true == [saga.state]
        assert saga.is_terminal == (name in {"completed", "compensated", "failed"})


def test_steps__by_what_became_of_them(sagas: dict[str, Saga]) -> None:
    found = {
        name: ([s.name for s in saga.completed_steps()], [s.name for s in saga.failed_steps()])
        for name, saga in sagas.items()
    }

    assert found == {
        "started": ([], []),
        "completed": (["first", "second"], []),
        "compensated": ([], ["first"]),
        "compensating": (["first"], ["second"]),
        "debt": ([], ["first", "second"]),
        "failed": ([], ["first"]),
    }


@pytest.mark.parametrize("text", ["", "x", "01HZZZZZZZZZZZZZZZZZZZZZZZ", "0" * 36, "8" + "0" * 25])
def test_by_id__text_that_names_no_saga(text: str) -> None:
    assert Saga.objects.by_id(text) is None


def test_by_id__any_spelling(sagas: dict[str, Saga]) -> None:
    saga = sagas["started"]

    for text in (saga.ulid, saga.ulid.lower(), str(saga.pk), saga.pk.hex, f" {saga.ulid}\n"):
        assert Saga.objects.by_id(text) == saga


def test_sagas_in_another_database__are_found_there(kit: Kit, lite: str, settings: Any) -> None:
    here = Saga.objects.start(kit.pair())
    settings.SAGAS = {**settings.SAGAS, "DATABASE": lite}
    there = Saga.objects.start(kit.define(kit.step("other"), word="other"))

    assert list(Saga.objects.all()) == list(Saga.objects.active()) == [there]
    assert Saga.objects.by_id(there.ulid) == there
    assert Saga.objects.by_id(here.ulid) is None
    assert [step.name for step in there.steps.all()] == ["other"]
    assert [step.saga_id for step in Step.objects.all()] == [there.pk]
    assert [entry.saga_id for entry in HistoryEntry.objects.all()] == [there.pk]
    assert list(Saga.objects.using("default")) == [here]
