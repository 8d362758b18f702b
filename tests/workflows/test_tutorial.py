"""The tutorial's workflow, unchanged: in memory, to its end and step by step; on the real stores; in a worker."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sagas import Rejected, SagaDefinition
from sagas.models import Saga
from sagas.testing import run_saga
from tests.transports.support import Broker
from tests.worker.conftest import Crew, ended, fresh, statuses
from tests.worker.test_broker import broker, connected, own_names
from tests.worker.test_program import Program

from .conftest import TUTORIAL

__all__ = ["Broker", "broker", "own_names"]

NAME = "PaymentProcessing"
ASKED = {"order_id": "o-1", "amount": 12.5}
FAILING = {**ASKED, "fail_at": "Create_Shipment"}
STEPS = ["Create_Order", "Charge_Payment", "Reserve_Inventory", "Create_Shipment"]
UNDONE = ["release_inventory", "refund_payment", "cancel_order"]


# -- in memory -------------------------------------------------------------------------------------------------------


def test_memory__to_its_end(tutorial: type[SagaDefinition]) -> None:
    run = run_saga(NAME, ASKED)

    assert (run.state, run.workflow_status, run.called) == ("completed", "COMPLETED", STEPS)
    assert run.context["workflow_status"] == "shipment_created"
    assert run.context["order_reference"] == "ORD-1"
    assert run.context["compensations_run"] == []
    assert run.outputs["Create_Order"] == {
        "order_created": True,
        "order_reference": "ORD-1",
        "workflow_status": "order_created",
    }


def test_memory__step_by_step(tutorial: type[SagaDefinition]) -> None:
    run = run_saga(NAME, ASKED, finish=False)
    seen = []

    while (name := run.next_step()) is not None:
        seen.append((name, run.context["workflow_status"], str(run.workflow_status)))

    assert seen == [
        ("Create_Order", "order_created", "ACTIVE"),
        ("Charge_Payment", "payment_charged", "ACTIVE"),
        ("Reserve_Inventory", "inventory_reserved", "ACTIVE"),
        ("Create_Shipment", "shipment_created", "COMPLETED"),
    ]


def test_memory__fourth_step_fails__is_undone_in_reverse(tutorial: type[SagaDefinition]) -> None:
    run = run_saga(NAME, FAILING)

    assert (run.state, run.workflow_status) == ("compensated", "FAILED_ROLLED_BACK")
    assert run.context["compensations_run"] == UNDONE
    assert run.context["workflow_status"] == "order_canceled"
    assert run.called == STEPS, "raising means failure: no second attempt"
    assert run.statuses["Create_Shipment"] == "failed", "raising means no effect: nothing to undo"


@pytest.mark.parametrize("error", [RuntimeError("x"), ConnectionError("x"), Rejected("x")])
def test_memory__failure_as_a_test_wishes_it__counts_as_the_functions_own(
    tutorial: type[SagaDefinition], error: Exception
) -> None:
    run = run_saga(NAME, ASKED, fail={"Create_Shipment": error})

    assert run.context["compensations_run"] == UNDONE


def test_memory__saga_mode_off__fails_and_keeps_everything(tutorial: type[SagaDefinition]) -> None:
    run = run_saga(NAME, FAILING, rollback=False)

    assert (run.state, run.workflow_status) == ("failed", "FAILED")
    assert run.context["compensations_run"] == []

    run.compensate("after all").finish()

    assert run.workflow_status == "FAILED_ROLLED_BACK"
    assert run.context["compensations_run"] == UNDONE


def test_definition__is_an_ordinary_one(tutorial: type[SagaDefinition]) -> None:
    graph = tutorial.graph()

    assert (tutorial.name, tutorial.version, tutorial.rest_permission) == (NAME, "1.0.0", None)
    assert tutorial.__doc__ == "Payment workflow with Saga pattern compensation"
    assert graph.steps[0].action == "payment_processor.steps.create_order"
    assert graph.steps[0].compensation == "payment_processor.steps.cancel_order"
    assert [spec.depends_on for spec in graph.steps] == [(), (0,), (1,), (2,)]


# -- on PostgreSQL and SQLite ----------------------------------------------------------------------------------------


def test_stores__complete(place: str, crew: Crew, tutorial: type[SagaDefinition]) -> None:
    saga = Saga.objects.start(NAME, context=ASKED)
    assert saga.workflow_status == "ACTIVE"

    crew.burst()

    found = fresh(saga)
    assert found.workflow_status == "COMPLETED"
    assert found.context["workflow_status"] == "shipment_created"


def test_stores__fourth_step_fails(place: str, crew: Crew, tutorial: type[SagaDefinition]) -> None:
    saga = Saga.objects.start(NAME, context=FAILING)

    crew.burst()

    found = fresh(saga)
    assert found.workflow_status == "FAILED_ROLLED_BACK"
    assert found.context["compensations_run"] == UNDONE
    assert found.context["workflow_status"] == "order_canceled"
    assert statuses(saga)["Create_Shipment"] == "failed"
    assert found.error_message == "RuntimeError: the carrier does not answer"


def test_stores__saga_mode_off(place: str, crew: Crew, tutorial: type[SagaDefinition]) -> None:
    saga = Saga.objects.start(NAME, context=FAILING, rollback=False)
    crew.burst()
    assert fresh(saga).workflow_status == "FAILED"

    saga.compensate(reason="after all")
    crew.burst()

    assert fresh(saga).context["compensations_run"] == UNDONE


@pytest.mark.usefixtures("on_postgres")
def test_broker__hints_carry_it(tutorial: type[SagaDefinition], crew: Crew, own_names: dict[str, Any]) -> None:
    connected(crew.start(consume=True))

    (found,) = ended(Saga.objects.start(NAME, context=FAILING))

    assert found.context["compensations_run"] == UNDONE


# -- found by a worker's own process ---------------------------------------------------------------------------------


@pytest.fixture
def program(on_postgres: str, database_url: str, tmp_path: Path) -> Iterator[Program]:
    found = Program(database_url, tmp_path, on_postgres)
    yield found
    found.end()


def test_worker__finds_the_file_of_an_installed_app(program: Program, tutorial: type[SagaDefinition]) -> None:
    good, bad = (Saga.objects.start(NAME, context=context) for context in (ASKED, FAILING))
    path = os.pathsep.join(filter(None, [str(TUTORIAL), os.environ.get("PYTHONPATH")]))

    code = program.run("--burst", DJANGO_SETTINGS_MODULE="tests.workflows.settings", PYTHONPATH=path)

    assert code == 0, program.said
    assert fresh(good).workflow_status == "COMPLETED"
    assert fresh(bad).context["compensations_run"] == UNDONE
