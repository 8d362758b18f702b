"""The permission matrix: what each page and action of the admin answers to whom.

`ADDRESSES` has every address that the admin of `sagas` knows by name, `ROWS` what is asked there and what each column
gets. A page that is new makes `test_matrix.py` fail until it is in both. `table()` is the one in docs/admin.md;
`python -m tests.docs.generated` writes it anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.db import connection, models
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse
from django.utils import timezone

from sagas.admin.step_verbs import STEP_VERBS
from sagas.admin.verbs import VERBS
from sagas.admin.work_acts import ACTS as WORK_ACTS
from sagas.models import Batch, FailureGroup, Saga, Worker
from tests.admin import pages, scenes

# -- who asks -------------------------------------------------------------------------------------------------------

#: Columns, and their heads in the docs.
COLUMNS = {
    "anonymous": "anonymous",
    "staff": "staff without rights",
    "viewer": "viewer",
    "own": "operator of one definition: its sagas",
    "other": "other sagas",
    "operator": "operator",
    "superuser": "superuser",
}
#: Groups in `SAGAS["OPERATORS"]`: for the sagas of every definition, and for those of one.
EVERYWHERE, CLERKS = "operators", "clerks"


def limits(column: str, saga: Saga) -> dict[str, Any]:
    """`SAGAS["OPERATORS"]`, with the clerks' definition being the saga's, or another."""
    theirs = "another_definition" if column == "other" else saga.name
    return {"*": {"*": [EVERYWHERE]}, theirs: {"*": [EVERYWHERE, CLERKS]}}


def client_of(column: str) -> Client:
    """Somebody who is logged in, but for `anonymous`."""
    client = Client()
    if column == "anonymous":
        return client
    user = User.objects.create(username=column, is_staff=True, is_superuser=column == "superuser")
    if column not in ("staff", "superuser"):
        user.user_permissions.set(rights("view_" if column == "viewer" else ""))
    group = {"own": CLERKS, "other": CLERKS, "operator": EVERYWHERE}.get(column)
    if group:
        user.groups.add(Group.objects.get_or_create(name=group)[0])
    client.force_login(user)
    return client


def rights(prefix: str) -> list[Permission]:
    """What an operator may be given: all but what Django makes for rows that nobody edits."""
    editing = ("add_", "change_", "delete_")
    found = Permission.objects.filter(content_type__app_label="sagas", codename__startswith=prefix)
    return [one for one in found if not one.codename.startswith(editing)]


# -- what is asked --------------------------------------------------------------------------------------------------


def names(patterns: list[Any]) -> Iterator[str]:
    """The names of addresses, those in included lists too."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from names(pattern.url_patterns)
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield pattern.name


def addresses_known() -> set[str]:
    """Every name below `sagas` that the admin has, as it is configured."""
    return {name for name in names(admin.site.get_urls()) if name.startswith("sagas_")} | {"app_list"}


def url(name: str, *args: Any) -> str:
    """An address of the admin."""
    return reverse(f"admin:{name}", args=args)


def a_worker() -> Worker:
    """The one of these tests."""
    worker: Worker = Worker.objects.get_or_create(host="web-1", pid=1)[0]
    return worker


def a_batch(saga: Saga) -> Batch:
    """One that retries the sagas of this one's definition, and can be paused."""
    values = {"verb": "retry", "filters": {"name": saga.name}, "upto": saga.pk, "state": "queued"}
    batch: Batch = Batch.objects.update_or_create(reason="of the matrix", defaults=values)[0]
    return batch


def a_group() -> FailureGroup:
    """Failures that are alike."""
    at = timezone.now()
    values = {"name": scenes.NAME, "step": "charge", "code": "declined", "first_seen": at, "last_seen": at}
    group: FailureGroup = FailureGroup.objects.get_or_create(pk=UUID(int=1), defaults=values)[0]
    return group


def _model(name: str, key: Callable[[Saga], Any]) -> dict[str, Callable[[Saga], str]]:
    """The five addresses that Django makes for each model."""
    one = ("change", "history", "delete")
    return {
        f"sagas_{name}_changelist": lambda saga: url(f"sagas_{name}_changelist"),
        f"sagas_{name}_add": lambda saga: url(f"sagas_{name}_add"),
        **{f"sagas_{name}_{what}": lambda saga, what=what: url(f"sagas_{name}_{what}", key(saga)) for what in one},
    }


ALL_VERBS = (*VERBS, *STEP_VERBS)
#: Name → an address, made for a saga.
ADDRESSES: dict[str, Callable[[Saga], str]] = {
    "app_list": lambda saga: url("app_list", "sagas"),
    **_model("saga", lambda saga: saga.ulid),
    **_model("worker", lambda saga: a_worker().pk),
    **_model("definition", lambda saga: "admin_short"),
    **{f"sagas_saga_{verb}": lambda saga, verb=verb: pages.act(verb) for verb in ALL_VERBS},
    **_model("batch", lambda saga: a_batch(saga).pk),
    "sagas_batch_start": lambda saga: f"{url('sagas_batch_start')}?{urlencode({'verb': 'retry', 'name': saga.name})}",
    "sagas_batch_steer": lambda saga: url("sagas_batch_steer", a_batch(saga).pk),
    **_model("failuregroup", lambda saga: a_group().pk),
    **_model("workitem", lambda saga: saga.steps.order_by("position").values_list("pk", flat=True)[0]),
    **{f"sagas_workitem_{act}": lambda saga, act=act: url(f"sagas_workitem_{act}") for act in WORK_ACTS},
    "sagas_saga_start": lambda saga: url("sagas_saga_start", saga.name),
    "sagas_saga_payload": lambda saga: f"{url('sagas_saga_payload', saga.ulid)}?part=context",
    "sagas_saga_reveal": lambda saga: url("sagas_saga_reveal"),
}


class Outcome(StrEnum):
    """What comes of it."""

    LOGIN = "login"
    FORBIDDEN = "403"
    MISSING = "404"
    #: The page.
    SEES = "sees"
    #: Somewhere else, and nothing is changed.
    LED = "led on"
    ACTS = "acts"


def outcome(response: Any, *, changed: bool) -> Outcome | str:
    """What a response was; its status where it was none of these."""
    if response.status_code == 302 and response.headers["Location"].startswith(reverse("admin:login")):
        return Outcome.LOGIN
    if response.status_code in (200, 302) and changed:
        return Outcome.ACTS
    return {302: Outcome.LED, 200: Outcome.SEES, 403: Outcome.FORBIDDEN, 404: Outcome.MISSING}.get(
        response.status_code, str(response)
    )


Ask = Callable[[Client, Saga], Any]
Outcomes = tuple[Outcome, ...]
_NO = (Outcome.LOGIN, Outcome.FORBIDDEN)
NOBODY: Outcomes = (*_NO, *[Outcome.FORBIDDEN] * 5)
VIEWERS: Outcomes = (*_NO, *[Outcome.SEES] * 5)


def operators(found: Outcome, *, other: Outcome = Outcome.FORBIDDEN) -> Outcomes:
    """No mere viewer; `other`: who may do it to the sagas of another definition only."""
    return (*_NO, Outcome.FORBIDDEN, found, other, found, found)


@dataclass(frozen=True)
class Row:
    """One thing that is asked at an address."""

    #: The address's name.
    url: str
    what: str
    outcomes: Outcomes
    ask: Ask
    made: Callable[[], Saga] = scenes.waiting

    @property
    def page(self) -> str:
        """The address in words."""
        return self.url.removeprefix("sagas_").partition("_")[2].replace("_", " ") or self.url


def _get(name: str, what: str, outcomes: Outcomes, made: Callable[[], Saga] = scenes.waiting) -> Row:
    return Row(name, what, outcomes, lambda client, saga: client.get(ADDRESSES[name](saga)), made)


def _post(name: str, what: str, outcomes: Outcomes, made: Callable[[], Saga] = scenes.waiting, **typed: Any) -> Row:
    def ask(client: Client, saga: Saga) -> Any:
        return client.post(ADDRESSES[name](saga), {"saga": pages.item(saga), **typed})

    return Row(name, what, outcomes, ask, made)


CONFIRMED = {"confirmed": "yes", "reason": "because"}
#: Verb → a saga for which it is possible, its step, and what is to be typed beside the reason.
PLIGHTS: dict[str, tuple[Callable[[], Saga], str, dict[str, str]]] = {
    "compensate": (scenes.waiting, "", {}),
    "retry": (scenes.waiting, "", {}),
    "cancel": (scenes.started, "", {}),
    "pause": (scenes.started, "", {}),
    "resume": (scenes.paused, "", {}),
    "run_now": (scenes.awaiting_time, "", {}),
    "approve": (scenes.awaiting_approval, "charge", {}),
    "deny": (scenes.awaiting_approval, "charge", {}),
    "retry_with": (scenes.failed, "charge_payment", {"input": "{}"}),
    "skip": (scenes.awaiting_approval, "charge", {}),
    "roll_back_to": (scenes.started, "create_order", {}),
    "resolve": (scenes.debt, "create_order", {"done": "yes"}),
    "assign": (scenes.debt, "create_order", {}),
    "restart": (scenes.ended, "", {}),
    "signal": (scenes.awaiting_signal, "", {"name": "paid"}),
}


def verb_form(verb: str, saga: Saga) -> dict[str, str]:
    """What its button sends."""
    _made, step, _typed = PLIGHTS[verb]
    position = {"step": str(saga.steps.get(name=step).position)} if step else {}
    return {"saga": pages.item(saga), **position}


def _verb_rows(verb: str) -> list[Row]:
    """Look at its address, ask for the confirmation, confirm; for what the list offers: choose it there."""
    made, _step, typed = PLIGHTS[verb]
    name = f"sagas_saga_{verb}"

    def post(client: Client, saga: Saga, more: dict[str, str]) -> Any:
        return client.post(ADDRESSES[name](saga), verb_form(verb, saga) | more)

    return [
        _get(name, "GET of an action", operators(Outcome.LED, other=Outcome.LED), made),
        Row(name, "ask", operators(Outcome.SEES), lambda client, saga: post(client, saga, {}), made),
        Row(name, "confirm", operators(Outcome.ACTS), lambda client, saga: post(client, saga, typed | CONFIRMED), made),
    ]


#: Verbs that the list offers for selected sagas.
LISTED = ("compensate", "cancel", "retry", "run_now", "pause", "resume")


def _select(verb: str) -> Row:
    """Who may do it at all is shown what of the selection is refused."""
    asked = operators(Outcome.SEES, other=Outcome.SEES)
    return Row(
        "sagas_saga_changelist",
        f"select and {verb.replace('_', ' ')}",
        asked,
        lambda client, saga: pages.select(client, verb, saga),
        PLIGHTS[verb][0],
    )


def _read_only(name: str, *looks: str) -> list[Row]:
    """A model that is looked at: never added, changed or deleted."""
    of = f"sagas_{name}"
    return [
        *(_get(f"{of}_{what}", f"{name}: look", VIEWERS) for what in looks),
        *(_get(f"{of}_{what}", f"{name}: add, delete", NOBODY) for what in ("add", "delete")),
        *(_post(f"{of}_{what}", f"{name}: save", NOBODY, post="yes") for what in ("add", "change", "delete")),
    ]


def _batch_form(client: Client, saga: Saga) -> Any:
    """What the page that asks sends."""
    filters = urlencode({"name": saga.name})
    form = {"verb": "retry", "filters": filters, "upto": str(saga.pk), "reason": "because", "rate": "5"}
    return client.post(url("sagas_batch_start"), form)


def _start_form(client: Client, saga: Saga) -> Any:
    """A new saga, whoever has sent the form before."""
    form = {"priority": "0", "reason": "because", "idempotency_key": f"another-{saga.ulid}"}
    return client.post(ADDRESSES["sagas_saga_start"](saga), form)


def _item_form(act: str) -> Ask:
    """What the buttons of a debt send."""

    def ask(client: Client, saga: Saga) -> Any:
        position = saga.steps.get(name="create_order").position
        return client.post(url(f"sagas_workitem_{act}"), {"saga": saga.ulid, "step": position, "text": "called them"})

    return ask


EVERYBODY_LED: Outcomes = (*_NO, *[Outcome.LED] * 5)
STARTING = operators(Outcome.SEES, other=Outcome.FORBIDDEN)
ROWS: list[Row] = [
    _get("app_list", "overview", (Outcome.LOGIN, Outcome.MISSING, *VIEWERS[2:])),
    _get("sagas_saga_changelist", "saga: look", VIEWERS),
    _get("sagas_saga_change", "saga: look", VIEWERS),
    _get("sagas_saga_history", "saga: look", VIEWERS),
    _get("sagas_saga_payload", "saga: look", VIEWERS),
    *(_select(verb) for verb in LISTED),
    *(row for verb in ALL_VERBS for row in _verb_rows(verb)),
    _get("sagas_saga_add", "choose what to start", operators(Outcome.SEES, other=Outcome.SEES)),
    _post("sagas_saga_add", "choose what to start", operators(Outcome.SEES, other=Outcome.SEES)),
    _get("sagas_saga_start", "form", STARTING, scenes.ended),
    Row("sagas_saga_start", "send the form", operators(Outcome.ACTS), _start_form, scenes.ended),
    _get("sagas_saga_reveal", "GET of an action", operators(Outcome.LED, other=Outcome.LED), scenes.secret),
    _post("sagas_saga_reveal", "ask", operators(Outcome.SEES), scenes.secret),
    _post("sagas_saga_reveal", "confirm", operators(Outcome.ACTS), scenes.secret, **CONFIRMED),
    _post("sagas_saga_change", "saga: save", NOBODY, state="completed"),
    _get("sagas_saga_delete", "saga: add, delete", NOBODY),
    _post("sagas_saga_delete", "saga: save", NOBODY, post="yes"),
    *_read_only("worker", "changelist", "change", "history"),
    *_read_only("definition", "changelist", "change"),
    *_read_only("batch", "changelist", "change", "history"),
    _get("sagas_batch_start", "batch: what it would do", operators(Outcome.SEES)),
    Row("sagas_batch_start", "batch: make it", operators(Outcome.ACTS), _batch_form),
    _get("sagas_batch_steer", "batch: GET of an action", operators(Outcome.LED)),
    _post("sagas_batch_steer", "batch: pause it", operators(Outcome.ACTS), do="pause"),
    *_read_only("failuregroup", "changelist", "change", "history"),
    *(row for row in _read_only("workitem", "changelist", "history") if row.url != "sagas_workitem_change"),
    _get("sagas_workitem_change", "work item: its page is its saga's", EVERYBODY_LED),
    _post("sagas_workitem_change", "work item: its page is its saga's", EVERYBODY_LED),
    *(_get(f"sagas_workitem_{act}", "work item: GET of an action", EVERYBODY_LED) for act in WORK_ACTS),
    Row("sagas_workitem_take", "work item: do", operators(Outcome.ACTS), _item_form("take"), scenes.debt),
    Row("sagas_workitem_comment", "work item: do", operators(Outcome.ACTS), _item_form("comment"), scenes.debt),
    Row("sagas_workitem_give_back", "work item: do", operators(Outcome.ACTS), _item_form("give_back"), scenes.debt),
    _get("sagas_definition_history", "definition: history", (*_NO, *[Outcome.MISSING] * 5)),
]


# -- what is stored -------------------------------------------------------------------------------------------------


def stored_models() -> list[type[models.Model]]:
    """Every table of `sagas`, those that are new too."""
    return [model for model in apps.get_app_config("sagas").get_models() if not model._meta.proxy]


def stored() -> dict[str, str]:
    """What each table of `sagas`, and of the admin's log, holds; as a hash, so that all take one query."""
    each = "SELECT %s, md5(coalesce(string_agg(row::text, '|' ORDER BY row::text), '')) FROM {} AS row"
    tables = {model._meta.label: model._meta.db_table for model in (*stored_models(), LogEntry)}
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(each.format(table) for table in tables.values()), list(tables))
        return dict(cursor.fetchall())


def changed(before: dict[str, str]) -> list[str]:
    """The tables that are not as they were."""
    return [table for table, held in stored().items() if held != before[table]]


# -- for the docs ---------------------------------------------------------------------------------------------------


def table() -> str:
    """One line for what is asked; addresses with the same answers are in one."""
    lines: dict[tuple[str, Outcomes], list[str]] = {}
    for row in ROWS:
        found = lines.setdefault((row.what, row.outcomes), [])
        found += [row.page] if row.page not in found else []
    rows = [f"| | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for (what, outcomes), found in lines.items():
        rows.append(f"| {what}: {', '.join(found)} | {' | '.join(outcomes)} |")
    return "\n".join(rows)
