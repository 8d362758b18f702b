"""POST /api/sagas/answers/: whoever holds a step's token says how the work ended. Nobody logs in."""

from typing import Any

import pytest
from django.core import signing
from django.http import HttpResponse
from django.test import Client

from sagas.core.states import Hold, SagaState, StepStatus
from sagas.core.triggers import Waits
from sagas.definitions.ids import id_text, new_id
from sagas.definitions.tokens import make_token
from sagas.models import Saga, Step
from tests.admin import scenes
from tests.api.people import Caller, error_of

pytestmark = pytest.mark.django_db

ANSWERS = "/api/sagas/answers/"
LOST = {"code": "lost", "message": "the parcel was lost"}


def ship(saga: Saga) -> Step:
    found: Step = saga.steps.get(name="ship")
    return found


def answer(caller: Caller, saga: Saga, **body: Any) -> HttpResponse:
    return caller.post(ANSWERS, {"token": scenes.token(saga)} | body)


def test_output__completes_the_step(stranger: Caller) -> None:
    saga = scenes.awaiting_answer()

    response = answer(stranger, saga, output={"parcel": 7})

    assert (response.status_code, response.json()) == (200, {"saga": saga.ulid})
    step = ship(saga)
    assert (step.status, step.output, step.waits, step.due_at) == (StepStatus.COMPLETED, {"parcel": 7}, "", None)
    assert scenes.finish(saga).state == SagaState.COMPLETED


def test_error__fails_the_step(stranger: Caller) -> None:
    saga = scenes.awaiting_answer()

    response = answer(stranger, saga, error=LOST)

    assert response.status_code == 200
    step = ship(saga)
    assert (step.status, step.error_code, step.error_message) == (StepStatus.FAILED, "lost", "the parcel was lost")
    assert scenes.fresh(saga).state == SagaState.COMPENSATING


@pytest.mark.parametrize("body", [{"output": {"parcel": 7}}, {"output": None}, {"error": LOST}])
def test_same_again__is_the_same_answer(stranger: Caller, body: dict[str, Any]) -> None:
    saga = scenes.awaiting_answer()

    first = answer(stranger, saga, **body)
    revision = scenes.fresh(saga).revision
    again = [answer(stranger, saga, **body) for _ in range(2)]

    assert [(one.status_code, one.json()) for one in again] == [(200, first.json())] * 2
    assert scenes.fresh(saga).revision == revision


def test_same_again__in_other_spelling(stranger: Caller) -> None:
    saga = scenes.awaiting_answer()
    token = scenes.token(saga)

    for text in ('{"a": 1, "b": "é"}', '{"b":"\\u00e9","a":1}'):
        assert stranger.post(ANSWERS, f'{{"token": "{token}", "output": {text}}}'.encode()).status_code == 200


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"output": {"parcel": 7}}, {"output": {"parcel": 8}}),
        ({"output": {"parcel": 7}}, {"error": LOST}),
        ({"error": LOST}, {"output": {"parcel": 7}}),
        ({"error": LOST}, {"error": LOST | {"code": "broken"}}),
    ],
)
def test_contradiction__is_refused_and_changes_no_outcome(
    stranger: Caller, first: dict[str, Any], second: dict[str, Any]
) -> None:
    saga = scenes.awaiting_answer()
    token = scenes.token(saga)
    answer(stranger, saga, **first)
    before = ship(saga)

    response = stranger.post(ANSWERS, {"token": token} | second)

    assert response.status_code == 409
    assert error_of(response)["code"] == "answer_refused"
    after = ship(saga)
    assert (after.status, after.output, after.error_code) == (before.status, before.output, before.error_code)
    assert saga.history.filter(kind="late_answer", seq=None).count() == 1


def test_late__after_it_was_given_up_and_undone(stranger: Caller) -> None:
    """The parcel was sent after all: nothing undoes that by itself, so a person must look."""
    saga = scenes.awaiting_answer()
    saga.skip("ship", reason="we carry it ourselves")
    saga.compensate(reason="the customer called")
    scenes.finish(saga)

    response = answer(stranger, saga, output={"parcel": 7})

    assert (response.status_code, error_of(response)["code"]) == (409, "answer_refused")
    assert scenes.fresh(saga).attention == Hold.LATE_EFFECT


def test_stale__a_token_of_an_earlier_round(stranger: Caller) -> None:
    saga = scenes.awaiting_answer()
    old = scenes.token(saga)
    answer(stranger, saga, output={"parcel": 7})
    saga.roll_back_to("ship", reason="wrong address")
    scenes.advance(saga, 1)  # undoes it
    (claim,) = scenes.claims(saga)
    scenes.submit(saga, Waits(claim.position, scenes.WORKER, claim.token))

    late = stranger.post(ANSWERS, {"token": old, "output": {"parcel": 7}})
    fresh = answer(stranger, saga, output={"parcel": 8})

    assert late.status_code == 409
    assert fresh.status_code == 200
    assert (ship(saga).output, ship(saga).round) == ({"parcel": 8}, 2)


def test_faster_than_the_handler(stranger: Caller) -> None:
    """The provider calls back while the handler that called it still runs."""
    saga = scenes.start(steps=scenes.one_step("ship"))
    scenes.advance(saga, 1)
    (claim,) = scenes.claims(saga)

    assert answer(stranger, saga, output={"parcel": 7}).status_code == 200
    scenes.submit(saga, Waits(claim.position, scenes.WORKER, claim.token))
    assert ship(saga).status == StepStatus.COMPLETED


def forged(saga: Saga) -> dict[str, str]:
    good = scenes.token(saga)
    body, stamp, signature = good.split(":")
    said = [id_text(saga.pk), "ship", 1, False, 1]
    return {
        "words": "open sesame",
        "another signature": f"{body}:{stamp}:{'A' * len(signature)}",
        "no signature": f"{body}:{stamp}",
        "another body": signing.dumps([*said[:-1], 2], salt="sagas.answer").split(":")[0] + f":{stamp}:{signature}",
        "another salt": signing.dumps(said, salt="sagas"),
        "another key": signing.dumps(said, salt="sagas.answer", key="k" * 50),
        "long": good + "x" * 990,
        "umlauts": f"{body}:{stamp}:é{signature[1:]}",
        "compressed": f".{good}",
        "bare": body,
    }


def test_forged__is_forbidden_and_changes_nothing(stranger: Caller) -> None:
    saga = scenes.awaiting_answer()

    for how, token in forged(saga).items():
        for body in ({"output": {"parcel": 7}}, {"error": LOST}):
            response = stranger.post(ANSWERS, {"token": token} | body)

            assert response.status_code == 403, how
            assert error_of(response)["code"] == "bad_token"
            assert saga.ulid not in response.content.decode()
    assert scenes.fresh(saga).revision == saga.revision
    assert ship(saga).status == StepStatus.WAITING


def test_gone__a_saga_that_is_no_more(stranger: Caller) -> None:
    token = make_token(new_id(), "ship", 1, undo=False, attempt=1)

    response = stranger.post(ANSWERS, {"token": token, "output": {}})

    assert (response.status_code, error_of(response)["code"]) == (404, "not_found")


def test_gone__a_step_that_is_no_more(stranger: Caller) -> None:
    token = make_token(scenes.awaiting_answer().pk, "carry", 1, undo=False, attempt=1)

    assert stranger.post(ANSWERS, {"token": token, "output": {}}).status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "output"),
        ({"output": {}, "error": LOST}, "output"),
        ({"error": None}, "error"),
        ({"error": "lost"}, "error"),
        ({"error": {}}, "error"),
        ({"error": {"code": ""}}, "error"),
        ({"error": {"code": "c" * 101}}, "error"),
        ({"error": {"code": "lost", "message": "m" * 2001}}, "error"),
        ({"error": LOST | {"hint": "x"}}, "error"),
        ({"output": {}, "status": "completed"}, "status"),
        ({"output": {}, "token": 7}, "token"),
        ({"output": {}, "token": None}, "token"),
        ({"output": {}, "token": ["x"]}, "token"),
        ({"output": {}, "token": ""}, "token"),
        ({"output": {}, "token": "x" * 3000}, "token"),
    ],
)
def test_body__is_checked(stranger: Caller, body: dict[str, Any], field: str) -> None:
    saga = scenes.awaiting_answer()

    response = answer(stranger, saga, **body)

    assert response.status_code == 400
    assert list(error_of(response)["details"]) == [field]
    assert scenes.fresh(saga).revision == saga.revision


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"7", b"\xff", b'{"token": "x", "output": NaN}', b'{"token": "x", "output": "\\u0000"}',
     b'{"token": "x", "output": "\\ud800"}', b'{"token": "x", "output": ' + b"[" * 5000,
     b'{"token": "x", "token": "y"}'],
)  # fmt: skip
def test_body__that_is_no_json(stranger: Caller, body: bytes) -> None:
    response = stranger.post(ANSWERS, body)

    assert response.status_code == 400
    error_of(response)


def test_body__limits(stranger: Caller, settings: Any) -> None:
    """An output's, not the larger ones of those who have logged in."""
    settings.SAGAS = {**settings.SAGAS, "MAX_OUTPUT": 1000}
    saga = scenes.awaiting_answer()

    large = answer(stranger, saga, output={"text": "x" * 1000})
    huge = answer(stranger, saga, output={"text": "x" * 30_000})

    assert (large.status_code, error_of(large)["code"]) == (400, "invalid_payload")
    assert (huge.status_code, error_of(huge)["code"]) == (400, "too_large")
    assert ship(saga).status == StepStatus.WAITING


def test_undo__a_compensation_may_wait_too(stranger: Caller) -> None:
    saga = scenes.start(steps=scenes.one_step("ship"))
    scenes.advance(saga, 2)
    saga.compensate(reason="the customer called")
    (claim,) = scenes.claims(saga)
    scenes.submit(saga, Waits(claim.position, scenes.WORKER, claim.token, undo=True))
    forward = scenes.token(saga)

    late = stranger.post(ANSWERS, {"token": forward, "output": {"parcel": 8}})
    undone = stranger.post(ANSWERS, {"token": scenes.token(saga, undo=True), "output": None})

    assert late.status_code == 409
    assert undone.status_code == 200
    assert ship(saga).status == StepStatus.COMPENSATED


def test_undo__that_failed_is_a_debt(stranger: Caller) -> None:
    saga = scenes.start(steps=scenes.one_step("ship"))
    scenes.advance(saga, 2)
    saga.compensate(reason="the customer called")
    (claim,) = scenes.claims(saga)
    scenes.submit(saga, Waits(claim.position, scenes.WORKER, claim.token, undo=True))

    assert stranger.post(ANSWERS, {"token": scenes.token(saga, undo=True), "error": LOST}).status_code == 200
    assert ship(saga).hold == Hold.DEBT


def test_session__and_its_csrf_cookie_are_not_asked_for() -> None:
    """Nor is a bad login in the way: nothing but the token counts."""
    saga = scenes.awaiting_answer()
    client = Client(enforce_csrf_checks=True)

    response = client.post(
        ANSWERS,
        {"token": scenes.token(saga), "output": {}},
        content_type="application/json",
        headers={"Authorization": "Token nonsense"},
    )

    assert response.status_code == 200


def test_log__names_the_saga_and_not_the_token(stranger: Caller, caplog: pytest.LogCaptureFixture) -> None:
    saga = scenes.awaiting_answer()
    token = scenes.token(saga)

    with caplog.at_level("INFO", logger="sagas"):
        answer(stranger, saga, output={"secret": "4711"})
        stranger.post(ANSWERS, {"token": token + "x", "output": {}})

    (record,) = [record for record in caplog.records if getattr(record, "action", "") == "rest_answer"]
    assert (record.saga_id, record.actor) == (saga.ulid, "")
    said = " ".join(
        f"{record.getMessage()} {vars(record)}" for record in caplog.records if record.name.startswith("sagas")
    )
    assert token not in said
    assert "4711" not in said


def test_throttle__by_address(stranger: Caller, settings: Any) -> None:
    from django.core.cache import cache

    cache.clear()
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"DEFAULT_THROTTLE_RATES": {"sagas.answer": "2/day"}}

    codes = [stranger.post(ANSWERS, {"token": "x", "output": {}}).status_code for _ in range(3)]
    elsewhere = stranger.client.post(
        ANSWERS, {"token": "x", "output": {}}, content_type="application/json", REMOTE_ADDR="192.0.2.7"
    )

    assert codes == [403, 403, 429]
    assert elsewhere.status_code == 403
