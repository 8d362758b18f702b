"""The payment workflow in YAML: every way it can go, each failure in turn, on the memory store and started for real."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from participants import payment_processor
from participants.payment_processor.models import PaymentState
from sagas import Retryable
from sagas.definitions.ids import id_text
from sagas.definitions.registry import registry
from sagas.exceptions import PayloadError
from sagas.models import Saga
from sagas.testing import SagaRun, run_saga

NAME = "PaymentProcessing"
UNDO = {
    "Create_Order": "cancel_order",
    "Charge_Payment": "refund_payment",
    "Reserve_Inventory": "release_inventory",
    "Create_Shipment": "cancel_shipment",
}
STEPS = list(UNDO)


@pytest.fixture(autouse=True)
def _no_database(request: pytest.FixtureRequest) -> None:
    """As in a host's process that has touched none: tests before may have left a connection open."""
    if "django_db" not in request.keywords:
        connections.close_all()


def asked(**changes: Any) -> dict[str, Any]:
    return {"order_id": "1042", "amount": 4990, **changes}


def state(run: SagaRun) -> PaymentState:
    return PaymentState.model_validate(run.context)


def nothing_is_left(found: PaymentState) -> bool:
    """What was done is marked as undone."""
    return not (found.order_created or found.payment_charged or found.inventory_reserved or found.shipment_created)


def test_file__names_the_functions_of_this_app():
    text = (Path(payment_processor.__file__).parent / "sagas.yaml").read_text(encoding="utf-8")

    definition = registry.definition(NAME)
    assert [step.name for step in definition.step_definitions()] == STEPS
    for step in definition.step_definitions():
        assert step.action in text
        assert step.compensation == f"participants.payment_processor.steps.{UNDO[step.name]}"


def test_payment__goes_through():
    run = run_saga(NAME, asked())

    found = state(run)
    assert (run.state, run.workflow_status) == ("completed", "COMPLETED")
    assert (found.workflow_status, found.order_reference) == ("shipment_created", "ORD-1042")
    assert found.order_created
    assert found.payment_charged
    assert found.inventory_reserved
    assert found.shipment_created
    assert found.compensations_run == []


@pytest.mark.parametrize(
    ("changes", "failing"),
    [
        ({"amount": 500_001}, "Charge_Payment"),
        ({"quantity": 101}, "Reserve_Inventory"),
        ({"country": "AQ"}, "Create_Shipment"),
    ],
)
def test_business_says_no__is_undone_in_reverse(changes: dict[str, Any], failing: str):
    run = run_saga(NAME, asked(**changes))

    before = STEPS[: STEPS.index(failing)]
    assert (run.state, run.statuses[failing]) == ("compensated", "failed")
    assert state(run).compensations_run == [UNDO[step] for step in reversed(before)]
    assert state(run).workflow_status == "order_canceled"
    assert nothing_is_left(state(run))


def test_fourth_step_fails__three_are_undone():
    run = run_saga(NAME, asked(country="AQ"))

    assert state(run).compensations_run == ["release_inventory", "refund_payment", "cancel_order"]
    assert run.workflow_status == "FAILED_ROLLED_BACK"


@pytest.mark.parametrize("step", STEPS)
def test_no_answer__at_any_step__is_undone_with_it(step: str):
    run = run_saga(NAME, asked(), fail={step: Retryable("nobody there")})

    done = STEPS[: STEPS.index(step) + 1]
    assert state(run).compensations_run == [UNDO[name] for name in reversed(done)]
    assert nothing_is_left(state(run))


def test_second_attempt__has_the_number_of_the_first():
    """A provider that dedupes by the key answers as the first time."""
    run = run_saga(NAME, asked(), fail={"Charge_Payment": [Retryable("no answer")]})

    key = f"{id_text(run.id)}:Charge_Payment:1:do"
    assert (run.state, run.called.count("Charge_Payment")) == ("completed", 2)
    assert state(run).transaction_id == f"TXN-{sha256(key.encode()).hexdigest()[:12].upper()}"


@pytest.mark.parametrize(
    ("context", "place"),
    [({}, "order_id"), (asked(amount=0), "amount"), (asked(quantity="many"), "quantity")],
)
def test_start__not_a_payment__is_refused_with_its_place(context: dict[str, Any], place: str):
    with pytest.raises(PayloadError, match=rf"context of 'PaymentProcessing': .*\b{place}: "):
        run_saga(NAME, context)


@pytest.mark.django_db
def test_start__in_the_project():
    saga = Saga.objects.start(NAME, context=asked(note="kept"), owner="ann")

    assert (saga.version, saga.workflow_status) == ("1.0.0", "ACTIVE")
    assert saga.context["note"] == "kept"
    assert PaymentState.model_validate(Saga.objects.get().context).workflow_status == "new"
