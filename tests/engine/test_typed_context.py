"""A typed context on PostgreSQL: what is refused leaves nothing, what a model adds is no part of the request."""

from uuid import uuid4

import pytest
from pydantic import BaseModel, Field

from sagas.exceptions import DuplicateSagaError, PayloadError
from sagas.models import Saga

from .kit import Kit

pytestmark = pytest.mark.usefixtures("pg")


class Order(BaseModel):
    number: str
    #: Another one each time it is made.
    reference: str = Field(default_factory=lambda: uuid4().hex)


def test_start__stores_the_context_with_its_defaults(kit: Kit) -> None:
    saga = Saga.objects.start(kit.pair(context_model=Order), context={"number": "A"})

    stored = Saga.objects.get(pk=saga.pk)
    assert stored.context == saga.context
    assert set(stored.context) == {"number", "reference"}


def test_start__refused__leaves_nothing(kit: Kit) -> None:
    definition = kit.pair(context_model=Order)

    with pytest.raises(PayloadError, match="number: Field required"):
        Saga.objects.start(definition, context={})
    with pytest.raises(PayloadError, match="number: Input should be a valid string"):
        Saga.objects.start_many(definition, [{"context": {"number": "A"}}, {"context": {"number": 7}}])

    assert not Saga.objects.exists()


def test_idempotency__compares_what_the_caller_gave(kit: Kit) -> None:
    definition = kit.pair(context_model=Order)
    first = Saga.objects.start(definition, context={"number": "A"}, idempotency_key="k")

    assert Saga.objects.start(definition, context={"number": "A"}, idempotency_key="k").pk == first.pk
    with pytest.raises(DuplicateSagaError):
        Saga.objects.start(definition, context=first.context, idempotency_key="k")


def test_input_functions__see_the_defaults(kit: Kit) -> None:
    step = kit.step("only", input=lambda context, outputs: {"reference": context["reference"]})

    saga = Saga.objects.start(kit.define(step, context_model=Order), context={"number": "A"})

    assert saga.steps.get().input == {"reference": saga.context["reference"]}
