"""Starting a saga from a form: what is asked for, what is checked, what is started, and who may."""

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pydantic
import pytest
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from sagas import SagaDefinition, step
from sagas.models import HistoryEntry, Saga
from tests.admin import pages, scenes
from tests.admin.conftest import ROLES

CHOOSE = reverse("admin:sagas_saga_add")
SIMPLE = [step("charge", action="admin_tests.do", compensation="admin_tests.undo")]


class Address(pydantic.BaseModel):
    street: str


class Parcel(pydantic.BaseModel):
    """A model with a field of every sort."""

    number: str = pydantic.Field(min_length=3, max_length=12, description="As it stands on the label.")
    pieces: int = pydantic.Field(ge=1, le=99)
    weight: float = 1.5
    express: bool = False
    service: Literal["road", "air"] = "road"
    insured: bool | None = None
    note: str | None
    value: Decimal = Decimal(0)
    send_at: datetime | None = None
    address: Address
    lines: list[int] = []
    made: str = pydantic.Field(default_factory=lambda: "today")

    @pydantic.field_validator("number")
    @classmethod
    def refuse_the_one_number_that_breaks_it(cls, number: str) -> str:
        if number == "broken":
            raise RuntimeError("no such table")
        return number


class SendParcel(SagaDefinition):
    """Sends a parcel.

    And this is not for the list.
    """

    name = "admin_parcel"
    context_model = Parcel
    steps = SIMPLE


class Strict(SagaDefinition):
    name = "admin_strict"
    context_model = {
        "type": "object",
        "properties": {"number": {"$ref": "#/$defs/number"}, "odd key": {"type": "string"}, "any": {}},
        "required": ["number"],
        "additionalProperties": False,
        "$defs": {"number": {"type": "string", "title": "Order number", "pattern": "^A-"}},
    }
    steps = SIMPLE


class Alone(SagaDefinition):
    name = "admin_alone"
    lock = "order:{number}"
    lock_policy = "refuse"
    steps = SIMPLE


TYPED = {
    "context-number": "A-1",
    "context-pieces": "2",
    "context-address": '{"street": "Quay 1"}',
    "owner": "ann",
    "priority": "0",
    "idempotency_key": "key-1",
    "reason": "the shop's form was down",
}


def url(name: str = "admin_parcel", **query: str) -> str:
    return reverse("admin:sagas_saga_start", args=[name], query=query or None)


def send(client: Client, name: str = "admin_parcel", query: dict[str, str] | None = None, /, **typed: str) -> Any:
    return client.post(url(name, **(query or {})), TYPED | typed)


def saga() -> Saga:
    return Saga.objects.get()


# -- who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_matrix(role: str, client_of: Callable[[str], Client]) -> None:
    client = client_of(role)

    answers = [client.get(CHOOSE), client.get(url()), send(client), client.post(CHOOSE, TYPED)]

    allowed = role in ("starter", "superuser")
    refusal = 302 if role == "anonymous" else 403
    assert [answer.status_code for answer in answers] == ([200, 200, 302, 200] if allowed else [refusal] * 4)
    assert Saga.objects.count() == int(allowed)
    assert LogEntry.objects.count() == int(allowed)


def test_links__only_for_who_may(client_of: Callable[[str], Client]) -> None:
    ended = scenes.ended()
    may, may_not = client_of("starter"), client_of("viewer")

    for address, link in ((pages.LIST, f'href="{CHOOSE}"'), (pages.page(ended), f"{url('admin_short')}?like=")):
        assert link in may.get(address).content.decode()
        assert link not in may_not.get(address).content.decode()


def test_links__no_start_like_a_saga_that_brought_its_own_steps(operator: Client) -> None:
    page = operator.get(pages.page(scenes.completed()))

    assert "Start again like this one" not in pages.text(page)


def test_limit__of_one_definition(client_of: Callable[[str], Client], settings: Any) -> None:
    ended, client = scenes.ended(), client_of("starter")
    settings.SAGAS = {**settings.SAGAS, "OPERATORS": {"admin_short": {"start": "finance"}}}

    listed = [choice.name for choice in client.get(CHOOSE).context["choices"]]
    refused = client.get(url("admin_short")), send(client, "admin_short"), client.get(pages.page(ended))
    User.objects.get().groups.add(Group.objects.create(name="finance"))

    assert "admin_short" not in listed
    assert "admin_parcel" in listed
    assert [answer.status_code for answer in refused] == [403, 403, 200]
    assert "Start again like this one" not in pages.text(refused[2])
    assert client.get(url("admin_short")).status_code == 200


def test_csrf(client_of: Callable[[str], Client]) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client_of("superuser").cookies

    assert send(strict).status_code == 403
    assert not Saga.objects.exists()


def test_get__starts_nothing(operator: Client) -> None:
    for address in (CHOOSE, url(), url(**TYPED), url(json="yes"), url("admin_strict")):
        assert operator.get(address).status_code == 200

    assert not Saga.objects.exists()
    assert not HistoryEntry.objects.exists()


def test_unknown__404(operator: Client) -> None:
    other = scenes.ended()

    for address in (url("nothing"), url(like="nonsense"), url(like=other.ulid)):
        assert operator.get(address).status_code == 404


# -- the choice -------------------------------------------------------------------------------------------------------


def test_choice__every_definition_with_what_it_is_about(operator: Client) -> None:
    choices = {choice.name: choice for choice in operator.get(CHOOSE).context["choices"]}

    assert choices["admin_parcel"].about == "Sends a parcel."
    assert choices["admin_parcel"].url == url()
    assert choices["admin_strict"].about == ""


# -- the form ---------------------------------------------------------------------------------------------------------


def test_form__a_field_for_every_sort(operator: Client) -> None:
    form = operator.get(url()).context["form"]

    kinds = {name: type(field).__name__ for name, field in form.fields.items() if name.startswith("context-")}
    assert kinds == {
        "context-number": "CharField",
        "context-pieces": "IntegerField",
        "context-weight": "FloatField",
        "context-express": "BooleanField",
        "context-service": "ChoiceField",
        "context-insured": "ChoiceField",
        "context-note": "CharField",
        "context-value": "JsonField",
        "context-send_at": "DateTimeField",
        "context-address": "JsonField",
        "context-lines": "JsonField",
        "context-made": "CharField",
    }
    assert form["context-weight"].value() == 1.5
    assert form["context-service"].value() == "road"
    assert form["context-lines"].value() == "[]"
    assert form.fields["context-number"].required
    assert not form.fields["context-note"].required, "null is what a blank one means"
    assert "As it stands on the label." in pages.text(operator.get(url()))
    assert form["owner"].value() == "superuser"
    assert [field.name for field in form.groups()[0][1]][-1] == "other"


def test_form__without_a_model_or_if_wanted_one_field_of_json(operator: Client) -> None:
    for address in (url("admin_short"), url(json="yes")):
        form = operator.get(address).context["form"]
        assert [field.label for field in form.groups()[0][1]] == ["Context"]


def test_form__a_closed_schema_takes_no_other_keys(operator: Client) -> None:
    form = operator.get(url("admin_strict")).context["form"]

    assert [field.label for field in form.groups()[0][1]] == ["Order number", "any"]


def test_start__the_saga_its_history_and_the_log(operator: Client) -> None:
    done = send(operator, tags="vip, by hand ,", priority="7", **{"context-send_at": "2026-11-21T10:30:00"})

    found = saga()
    at = datetime(2026, 11, 21, 10, 30, tzinfo=timezone.get_current_timezone())
    assert done.headers["Location"] == pages.page(found)
    assert datetime.fromisoformat(found.context.pop("send_at")) == at
    assert found.context == {
        "number": "A-1",
        "pieces": 2,
        "weight": 1.5,
        "express": False,
        "service": "road",
        "note": None,
        "address": {"street": "Quay 1"},
        "insured": None,
        "value": "0",
        "lines": [],
        "made": "today",
    }
    assert (found.owner, found.tags, found.priority, found.idempotency_key) == ("ann", ["vip", "by hand"], 7, "key-1")
    entry = found.history.get(kind="started_by_hand")
    assert (entry.actor, entry.reason) == ("superuser", "the shop's form was down")
    line = LogEntry.objects.get()
    assert (line.object_id, line.action_flag) == (str(found.pk), ADDITION)
    assert line.change_message == "Start: the shop's form was down"
    page = operator.get(pages.page(found))
    assert pages.told(page) == [f"The saga is started: {found}"]
    assert "started from a form" in pages.text(page)


def test_start__twice_from_one_form_starts_one(operator: Client) -> None:
    first, second = send(operator), send(operator)

    assert first.headers["Location"] == second.headers["Location"] == pages.page(saga())
    assert LogEntry.objects.count() == saga().history.filter(kind="started_by_hand").count() == 1
    assert any(text.startswith("Nothing was started") for text in pages.told(operator.get(pages.page(saga()))))


def test_form__each_has_a_key_of_its_own(operator: Client) -> None:
    keys = {operator.get(url()).context["form"]["idempotency_key"].value() for _ in range(2)}

    assert len(keys) == 2


def test_start__a_key_of_another_request_is_refused_at_the_field(operator: Client) -> None:
    send(operator)

    again = send(operator, **{"context-pieces": "3"})

    (error,) = again.context["form"].errors["idempotency_key"]
    assert "with another payload" in error
    assert f'href="{pages.page(saga())}"' in error
    assert again.context["form"]["context-pieces"].value() == "3"


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"context-number": ""}, "context-number", "required"),
        ({"context-number": "A"}, "context-number", "at least 3"),
        ({"context-number": "A" * 13}, "context-number", "at most 12"),
        ({"context-pieces": "0"}, "context-pieces", "greater than or equal to 1"),
        ({"context-pieces": "2.5"}, "context-pieces", "whole number"),
        ({"context-weight": "heavy"}, "context-weight", "number"),
        ({"context-weight": "nan"}, "context-weight", "number"),
        ({"context-service": "rocket"}, "context-service", "not one of"),
        ({"context-value": "a lot"}, "context-value", "not JSON"),
        ({"context-send_at": "soon"}, "context-send_at", "valid date"),
        ({"context-address": "{}"}, "context-address", "address.street: Field required"),
        ({"context-address": "{"}, "context-address", "not JSON"),
        ({"context-lines": '["x"]'}, "context-lines", "lines.0: "),
        ({"context-number": "broken"}, "__all__", "RuntimeError: no such table"),
        ({"other": '{"number": "B-2"}'}, "other", "fields of their own: number"),
        ({"other": "[]"}, "other", "expected a dict"),
        ({"owner": "a\x00b"}, "owner", "Null"),
        ({"owner": "a\u200bb"}, "owner", "printable"),
        ({"owner": "x" * 151}, "owner", "150"),
        ({"tags": ",".join("abcdefghijklmnopqrstuvwxyz0123456789")}, "tags", "at most 32"),
        ({"priority": "101"}, "priority", "100"),
        ({"idempotency_key": ""}, "idempotency_key", "required"),
        ({"reason": " "}, "reason", "Say why"),
        ({"subject_kind": "contenttypes.contenttype"}, "subject_kind", "not one of"),
        ({"subject_id": "7"}, "subject_kind", "a kind and a primary key"),
        ({"subject_kind": "auth.user"}, "subject_id", "a kind and a primary key"),
        ({"subject_kind": "auth.user", "subject_id": "77777"}, "subject_id", "no such object"),
        ({"subject_kind": "auth.user", "subject_id": "x"}, "subject_id", "no such object"),
    ],
)
def test_errors__beside_the_field_and_nothing_typed_is_lost(
    typed: dict[str, str], field: str, said: str, operator: Client
) -> None:
    response = send(operator, **typed)

    form = response.context["form"]
    assert list(form.errors) == [field]
    assert said in form.errors[field][0]
    assert all(form[name].value() == value for name, value in (TYPED | typed).items())
    assert "Nothing was started." in pages.text(response)
    assert not Saga.objects.exists()
    assert not LogEntry.objects.exists()


def test_errors__of_a_lock_that_another_saga_has(operator: Client) -> None:
    holder = Saga.objects.start("admin_alone", context={"number": "A-1"})

    missing = send(operator, "admin_alone", other="{}")
    held = send(operator, "admin_alone", other='{"number": "A-1"}')

    assert "expected text or a whole number in the context's 'number'" in missing.context["form"].errors["__all__"][0]
    assert f'href="{pages.page(holder)}"' in held.context["form"].errors["__all__"][0]
    assert Saga.objects.count() == 1


def test_start__with_a_subject(operator: Client) -> None:
    user = User.objects.get()

    send(operator, subject_kind="auth.user", subject_id=str(user.pk))

    assert saga().subject == user


def test_start__on_failure_as_typed(operator: Client) -> None:
    send(operator, rollback="no")

    assert saga().rollback is False


def test_start__the_whole_context_as_json(operator: Client) -> None:
    context = {"number": "A-1", "pieces": 2, "note": "a\nb", "address": {"street": ""}, "more": [1]}

    send(operator, "admin_parcel", {"json": "yes"}, other=json.dumps(context))

    assert saga().context.items() >= context.items()


# -- like another one -------------------------------------------------------------------------------------------------


def test_again__filled_in_like_the_saga(operator: Client) -> None:
    context = {
        "number": "A-1",
        "pieces": 2,
        "note": "two\nlines",
        "service": "air",
        "insured": False,
        "send_at": "2026-11-21T09:30:00Z",
        "address": {"street": "Quay 1"},
        "more": {"added": "by a step"},
        "value": "12.50",
    }
    old = Saga.objects.start(
        "admin_parcel", context=context, owner="ben", tags=["vip", "restart-of:X"], priority=5, rollback=False,
        subject=User.objects.get(), idempotency_key="of the shop",
    )  # fmt: skip

    response = operator.get(url(like=old.ulid))

    form = response.context["form"]
    assert response.status_code == 200
    assert f'href="{pages.page(old)}"' in response.content.decode()
    assert form["context-number"].value() == "A-1"
    assert form["context-service"].value() == "air"
    assert form["context-insured"].value() == "false"
    assert form["context-send_at"].value().astimezone(ZoneInfo("UTC")).hour == 9
    assert "two\nlines</textarea>" in response.content.decode()
    assert json.loads(form["other"].value()) == {"more": {"added": "by a step"}}
    assert (form["owner"].value(), form["tags"].value(), form["priority"].value()) == ("ben", "vip", 5)
    assert (form["subject_kind"].value(), form["rollback"].value()) == ("auth.user", "no")
    assert form["idempotency_key"].value() != "of the shop"


def test_again__a_new_saga_that_says_which(operator: Client) -> None:
    old = scenes.ended_typed()

    send(operator, "admin_typed", {"like": old.ulid}, **{"context-number": "A-2", "context-express": "on"})

    new = Saga.objects.exclude(pk=old.pk).get()
    assert new.context == {"number": "A-2", "express": True}
    assert new.history.get(kind="started_by_hand").data == {"like": old.ulid}
    assert f"like the saga {old.ulid}" in pages.text(operator.get(pages.page(new)))
    assert scenes.fresh(old).revision == old.revision


def test_again__what_does_not_fit_its_field_any_more_is_json(operator: Client) -> None:
    old = scenes.ended_typed()
    Saga.objects.filter(pk=old.pk).update(context={"number": 7, "express": "very"})

    form = operator.get(url("admin_typed", like=old.ulid)).context["form"]

    assert json.loads(form["other"].value()) == {"number": 7, "express": "very"}


def test_again__what_is_hidden_stays_hidden_and_is_kept(operator: Client) -> None:
    old = Saga.objects.start("admin_short", context={"card_number": "4111", "number": "A-1"})

    shown = operator.get(url("admin_short", like=old.ulid))
    typed = shown.context["form"]["other"].value()
    send(operator, "admin_short", {"like": old.ulid}, other=typed)

    assert "4111" not in shown.content.decode()
    assert Saga.objects.exclude(pk=old.pk).get().context == {"card_number": "4111", "number": "A-1"}


def test_again__takes_the_place_of_nothing_hidden_without_a_saga_to_begin_from(operator: Client) -> None:
    send(operator, "admin_short", other='{"card_number": "[redacted]"}')

    assert saga().context == {"card_number": "[redacted]"}, "it is only text"
