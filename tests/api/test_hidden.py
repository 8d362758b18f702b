"""Over REST nobody sees what is sensitive, whatever their rights; what was hidden can be sent back as it came."""

from typing import Any

import pytest
from django.test import override_settings

from sagas.core.redaction import REDACTED
from sagas.models import Saga
from tests.admin import scenes
from tests.api.people import URL, Caller

pytestmark = pytest.mark.django_db


def test_bodies__hold_no_secret(boss: Caller) -> None:
    saga = scenes.secret(owner="boss")
    looks = [
        boss.get(f"{URL}{saga.ulid}/"),
        boss.get(URL),
    ]

    for response in looks:
        assert response.status_code == 200
        assert scenes.CANARY not in response.content.decode()
    body = looks[0].json()
    assert body["context"] == {
        "number": "A-1",
        "token": REDACTED,
        "customer": {"name": "ines", "street": REDACTED},
        "cards": [{"cardNumber": REDACTED, "brand": "visa"}],
    }
    charge = body["steps"][0]
    assert charge["input"] == {"amount": 5, "card_number": REDACTED}
    assert charge["output"] == {"receipt": "R-7", "client_secret": REDACTED}
    assert charge["undo_output"] == {"refund": "R-8", "api_key": REDACTED}


def test_body__of_a_parent_hides_what_its_child_hides(boss: Caller) -> None:
    saga, _child = scenes.parent()
    output = {"customer": {"street": "CANARY"}, "token": "CANARY", "name": "ines"}
    saga.steps.filter(name="ship").update(output=output, action="saga:admin_secret")

    step = boss.get(f"{URL}{saga.ulid}/").json()["steps"][1]

    assert step["output"] == {"customer": {"street": REDACTED}, "token": REDACTED, "name": "ines"}


def test_retry_with__what_came_hidden_goes_back_hidden(boss: Caller) -> None:
    saga = scenes.failed()
    saga.steps.filter(name="charge_payment").update(input={"amount": 7, "token": "CANARY"})
    step = boss.get(f"{URL}{saga.ulid}/").json()["steps"][3]

    response = boss.post(
        f"{URL}{saga.ulid}/retry-with/",
        {"reason": "typo", "step": "charge_payment", "input": {**step["input"], "amount": 8}},
    )

    assert response.status_code == 200, response.content
    assert scenes.CANARY not in response.content.decode()
    assert saga.steps.get(name="charge_payment").input == {"amount": 8, "token": "CANARY"}


def test_retry_with__hidden_where_nothing_was(boss: Caller) -> None:
    saga = scenes.failed()

    response = boss.post(
        f"{URL}{saga.ulid}/retry-with/", {"reason": "typo", "step": "charge_payment", "input": {"token": REDACTED}}
    )

    assert response.status_code == 400
    assert "hidden value of 'token'" in response.json()["error"]["message"]


def test_restart__what_came_hidden_goes_back_hidden(boss: Caller) -> None:
    saga = scenes.ended(context={"number": "A-1", "password": "CANARY"})
    context: dict[str, Any] = boss.get(f"{URL}{saga.ulid}/").json()["context"]

    response = boss.post(f"{URL}{saga.ulid}/restart/", {"reason": "again", "context": {**context, "number": "A-2"}})

    assert response.status_code == 201
    assert response.json()["context"] == {"number": "A-2", "password": REDACTED}
    assert Saga.objects.latest("id").context == {"number": "A-2", "password": "CANARY"}


def test_settings__say_what_is_hidden(boss: Caller) -> None:
    saga = scenes.started(context={"nickname": "ann", "token": "T"})

    with override_settings(SAGAS={"SENSITIVE": ["nickname"]}):
        assert boss.get(f"{URL}{saga.ulid}/").json()["context"] == {"nickname": REDACTED, "token": "T"}
