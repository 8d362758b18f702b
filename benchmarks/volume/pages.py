"""What is measured. A new page is one more line in `PAGES`; a test asks for one for every address of the admin's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from benchmarks.volume.crowd import CAMPAIGNS, CODES
from benchmarks.volume.player import WORKERS
from benchmarks.volume.sample import Sample

#: What a page is held to, in milliseconds of its p95.
LOOKING, ACTING = 300, 500


@dataclass(frozen=True, slots=True)
class Request:
    """GET, or POST where there is a form. `status`: what is expected."""

    url: str
    form: Mapping[str, Any] | None = None
    status: int = 200


Ask = Callable[[Sample, int], Request]


@dataclass(frozen=True, slots=True)
class Page:
    """One kind of request. `ask` is not in the measured time; its number says which time it is."""

    name: str
    ask: Ask
    limit: int = LOOKING


def page(view: str, *args: Any, query: str = "") -> Ask:
    """Always the same."""
    return lambda sample, number: Request(_url(view, args, query))


def of_saga(view: str, role: str, query: str = "") -> Ask:
    """Of a saga of that role."""
    return lambda sample, number: Request(_url(view, [sample.ulid(role, number)], query))


def listing(query: str, *values: Sequence[object]) -> Ask:
    """The list of sagas; `{0}` and its like stand for one of the values."""
    return lambda sample, number: Request(_list(query.format(*(each[number % len(each)] for each in values))))


def _url(view: str, args: Iterable[Any], query: str = "") -> str:
    return reverse(view, args=list(args)) + (f"?{query}" if query else "")


def _list(query: str) -> str:
    return _url("admin:sagas_saga_changelist", (), query)


def _place(role: str, query: str) -> Ask:
    """The list from a saga on, or a search for it."""
    return lambda sample, number: Request(_list(query.format(saga=sample.saga(role, number))))


def confirm(verb: str, role: str, step: int | None = None, **typed: str) -> Ask:
    """The confirmation for one saga; with what is typed into it: it is done."""

    def ask(sample: Sample, number: int) -> Request:
        form: dict[str, Any] = {"saga": sample.item(role, number), "origin": "page"}
        form |= {} if step is None else {"step": str(step)}
        form |= {"confirmed": "yes", "reason": "measured", **typed} if typed else {}
        return Request(reverse(f"admin:sagas_saga_{verb}"), form, 302 if typed else 200)

    return ask


def selected(verb: str, role: str, count: int = 100) -> Ask:
    """The confirmation for what is ticked in the list."""

    def ask(sample: Sample, number: int) -> Request:
        keys = [str(saga.pk) for saga in sample.some(role, number, count)]
        form = {"action": f"{verb}_selected", "_selected_action": keys, "index": "0"}
        return Request(_list(""), form)

    return ask


def done(verb: str, role: str, count: int) -> Ask:
    """And its button is pressed."""

    def ask(sample: Sample, number: int) -> Request:
        items = [f"{saga.ulid}:{saga.revision}" for saga in sample.some(role, number, count)]
        form = {"saga": items, "confirmed": "yes", "reason": "measured"}
        return Request(reverse(f"admin:sagas_saga_{verb}"), form, 302)

    return ask


def of_item(act: str) -> Ask:
    """One of the small acts on a work item; it leads back to the list."""

    def ask(sample: Sample, number: int) -> Request:
        form = {
            "saga": sample.ulid("debt", number),
            "step": "0",
            "text": "the bank was called",
            "key": f"{number:032x}",
        }
        return Request(reverse(f"admin:sagas_workitem_{act}"), form, 302)

    return ask


def steered(sample: Sample, number: int) -> Request:
    """A batch is paused, and the next time resumed."""
    form = {"do": "resume" if number % 2 else "pause", "reason": "measured"}
    return Request(_url("admin:sagas_batch_steer", [sample.batches[0]]), form, 302)


def _next(values: Sequence[Any], number: int) -> Any:
    return values[number % len(values)]


_BATCH = {"verb": "retry", "filters": "state=failed", "reason": "measured", "rate": "5"}


def _lists() -> Iterator[Page]:
    names = ["order_processing", "PaymentProcessing", "subscription_renewal", "stock_transfer", "nobody"]
    queries: dict[str, tuple[str, *tuple[Sequence[object], ...]]] = {
        "": ("",),
        "oldest first": ("o=1",),
        "page by number": ("p={0}", range(2, 20)),
        "by state": ("state={0}", ["started", "completed", "compensating", "compensated", "failed", "alive"]),
        "by state, oldest first": ("state={0}&o=1", ["started", "completed", "compensating", "compensated", "failed"]),
        "needing attention": ("attention={0}", ["yes", "debt", "crashed", "no_handler", "unrecorded", "approval"]),
        "not needing attention": ("attention=no",),
        "stale": ("stale={0}", ["yes", "no"]),
        "paused": ("paused={0}", ["yes", "no"]),
        "by definition": ("name={0}", names),
        "by version": ("name={0}&version={1}", ["order_processing", "subscription_renewal"], ["1", "2", "3", "4", "9"]),
        "by failed step": ("step={0}", ["charge_payment", "Charge_Payment", "book_truck", "create_order", "none"]),
        "by error code": ("error={0}", [*CODES, "none"]),
        "by tag": ("tag={0}", ["vip", "gift", "none", *(f"campaign-{n}" for n in range(0, CAMPAIGNS, 9))]),
        "by owner": ("owner=shop-{0}", [0, 1, 5, 77, 500, 1999, 9999]),
        "started since": ("since={0}", ["1h", "24h", "7d", "20d"]),
        "started before": ("until={0}", ["1h", "24h", "7d", "29d"]),
        "ended since": ("ended_since={0}", ["1h", "24h", "7d"]),
        "ended before": ("ended_until={0}", ["1h", "24h", "7d", "29d"]),
        "ended in a day": ("ended_since={0}d&ended_until=1d", range(2, 20)),
        "definition, state": ("name={0}&state={1}", names, ["started", "completed", "compensated", "failed"]),
        "definition, alive": ("name={0}&state=alive", names),
        "definition, attention": ("name={0}&attention=yes", names),
        "definition, stale": ("name={0}&stale=yes", names),
        "definition, error": ("name={0}&error={1}", names, CODES),
        "definition, failed step": ("name={0}&step={1}", names, ["charge_payment", "book_truck", "Charge_Payment"]),
        "definition, state, day": ("name={0}&state={1}&ended_since=24h", names, ["completed", "compensated", "failed"]),
        "state, day": ("state={0}&ended_since=24h", ["completed", "compensated", "failed"]),
        "state, owner": ("state={0}&owner=shop-{1}", ["failed", "completed", "started"], [0, 5, 500]),
        "state, tag": ("state={0}&tag={1}", ["failed", "started", "compensated"], ["vip", "gift", "campaign-7"]),
        "state, attention": ("state=started&attention={0}", ["debt", "yes", "no", "crashed"]),
        "error, owner": ("error={0}&owner=shop-{1}", CODES, [0, 5, 500]),
        "error, week": ("error={0}&since=7d", CODES),
        "owner, tag": ("owner=shop-{0}&tag={1}", [0, 5, 500], ["vip", "gift", "campaign-7"]),
        "definition, owner": ("name={0}&owner=shop-{1}", names, [0, 5, 500]),
        "definition, tag": ("name={0}&tag={1}", names, ["vip", "campaign-7"]),
        "step, day": ("step={0}&since=24h", ["charge_payment", "book_truck"]),
        "paused and failed": ("paused=yes&state={0}", ["failed", "completed", "started"]),
        "search: order": ("q=orders.order:{0}", range(1, 2000, 61)),
        "search: subject": ("q={0}", range(1, 2000, 61)),
        "search: owner": ("q=shop-{0}", [0, 1, 5, 77, 500, 1999]),
        "search: nothing": ("q=miss-{0}", range(100)),
        "search within a state": ("state=failed&q=shop-{0}", [0, 5, 500]),
        "nonsense": ("state=lost&since=soon",),
    }
    for name, (query, *values) in queries.items():
        yield Page(f"sagas, {name}" if name else "sagas", listing(query, *values))


PAGES: tuple[Page, ...] = (
    Page("overview", page("admin:app_list", "sagas")),
    Page("admin's index", page("admin:index")),
    *_lists(),
    Page("sagas, deep in the list", _place("completed", "after={saga.ulid}")),
    Page("sagas, the page before", _place("completed", "before={saga.ulid}")),
    Page("sagas, deep in a definition", _place("failed", "name={saga.name}&after={saga.ulid}")),
    Page("sagas, deep in a state", _place("failed", "state=failed&after={saga.ulid}")),
    Page("sagas, deep in rare ones", _place("completed", "name=stock_transfer&state=failed&after={saga.ulid}")),
    Page("sagas, search: ULID", _place("completed", "q={saga.ulid}")),
    Page("sagas, search: UUID", _place("compensated", "q={saga.pk}")),
    Page("sagas, search: key", _place("completed", "q={saga.idempotency_key}")),
    *(
        Page(f"saga, {role.replace('_', ' ')}", of_saga("admin:sagas_saga_change", role))
        for role in (
            "completed",
            "completed_hardly",
            "compensated",
            "failed",
            "at_work",
            "trying",
            "locked",
            "parent_done",
            "parent_waits",
            "awaiting_approval",
            "debt",
            "without_handler",
            "eventful",
            "fan_out",
        )
    ),
    Page("saga, 1,000 entries, older history", of_saga("admin:sagas_saga_change", "eventful", "before=999999999")),
    Page("saga, elements 21 to 40 of 100", of_saga("admin:sagas_saga_change", "fan_out", "elements=2")),
    Page("saga, the admin's log", of_saga("admin:sagas_saga_history", "completed")),
    Page("saga, a payload", of_saga("admin:sagas_saga_payload", "completed", "part=context")),
    Page("saga, hidden values", confirm("reveal", "completed")),
    Page("saga, hidden values shown", confirm("reveal", "completed")),
    Page("definitions", page("admin:sagas_definition_changelist")),
    Page("definition", page("admin:sagas_definition_change", "order_processing")),
    Page("definition that is gone", page("admin:sagas_definition_change", "subscription_5Frenewal")),
    Page("workers", page("admin:sagas_worker_changelist")),
    Page("workers, lost", page("admin:sagas_worker_changelist", query="life=lost")),
    Page("worker", page("admin:sagas_worker_change", str(WORKERS[0]))),
    Page("failures", page("admin:sagas_failuregroup_changelist")),
    Page("failure", lambda sample, n: Request(_url("admin:sagas_failuregroup_change", [_next(sample.failures, n)]))),
    Page("sagas of a failure", lambda sample, n: Request(_list(f"group={_next(sample.failures, n).hex}"))),
    Page("sagas of a failure, ever", lambda sample, n: Request(_list(f"group={_next(sample.failures, n).hex}-ever"))),
    Page("work items", page("admin:sagas_workitem_changelist")),
    Page("work item", lambda sample, n: Request(_url("admin:sagas_workitem_change", [sample.held(n)]), status=302)),
    Page("batches", page("admin:sagas_batch_changelist")),
    Page("batch", lambda sample, n: Request(_url("admin:sagas_batch_change", [_next(sample.batches, n)]))),
    Page("batch, the admin's log", lambda sample, n: Request(_url("admin:sagas_batch_history", [sample.batches[0]]))),
    Page("start: which definition", page("admin:sagas_saga_add")),
    Page("start: form", page("admin:sagas_saga_start", "order_processing")),
    Page(
        "start: like this one",
        lambda sample, n: Request(
            _url("admin:sagas_saga_start", ["order_processing"], f"like={sample.ulid('parent_done', n)}")
        ),
    ),
    Page(
        "order with its sagas",
        lambda sample, n: Request(_url("admin:orders_order_change", [sample.orders[n * 7 % len(sample.orders)]])),
    ),
    Page("REST, list", page("sagas-api:saga-list")),
    Page(
        "REST, list by state",
        lambda sample, n: Request(
            _url("sagas-api:saga-list", (), f"state={['failed', 'started', 'compensated', 'completed'][n % 4]}")
        ),
    ),
    Page("REST, list by name", page("sagas-api:saga-list", query="name=stock_transfer&state=failed")),
    Page("REST, saga", of_saga("sagas-api:saga-detail", "completed")),
    Page("REST, saga of 1,000 entries", of_saga("sagas-api:saga-detail", "eventful")),
    # -- acting
    Page("confirm compensate", confirm("compensate", "completed"), ACTING),
    Page("confirm compensate, parent", confirm("compensate", "parent_done"), ACTING),
    Page("confirm compensate, 100 elements", confirm("compensate", "fan_out"), ACTING),
    Page("confirm compensate, 1,000 entries", confirm("compensate", "eventful"), ACTING),
    Page("confirm cancel", confirm("cancel", "started"), ACTING),
    Page("confirm retry", confirm("retry", "failed"), ACTING),
    Page("confirm run now", confirm("run_now", "awaiting_time"), ACTING),
    Page("confirm pause", confirm("pause", "started"), ACTING),
    Page("confirm resume", confirm("resume", "paused"), ACTING),
    Page("confirm restart", confirm("restart", "parent_done"), ACTING),
    Page("confirm signal", confirm("signal", "awaiting_signal"), ACTING),
    Page("confirm approve", confirm("approve", "awaiting_approval", 3), ACTING),
    Page("confirm deny", confirm("deny", "awaiting_approval", 3), ACTING),
    Page("confirm run with input", confirm("retry_with", "failed", 3), ACTING),
    Page("confirm skip", confirm("skip", "without_handler", 0), ACTING),
    Page("confirm resolve", confirm("resolve", "debt", 0), ACTING),
    Page("confirm assign", confirm("assign", "debt", 0), ACTING),
    Page("confirm roll back to", confirm("roll_back_to", "at_work", 0), ACTING),
    Page("confirm compensate, 100 ticked", selected("compensate", "completed"), ACTING),
    Page("confirm cancel, 100 ticked", selected("cancel", "started"), ACTING),
    Page("confirm retry, 100 ticked", selected("retry", "failed"), ACTING),
    Page("confirm run now, 100 ticked", selected("run_now", "awaiting_time"), ACTING),
    Page("confirm pause, 100 ticked", selected("pause", "started"), ACTING),
    Page("confirm resume, 100 ticked", selected("resume", "paused"), ACTING),
    Page("assign", confirm("assign", "debt", 0, owner="ines"), ACTING),
    Page("pause", confirm("pause", "started", note="-"), ACTING),
    Page("retry", confirm("retry", "failed", note="-"), ACTING),
    Page("compensate", confirm("compensate", "completed", note="-"), ACTING),
    Page("pause 20", done("pause", "at_work", 20), ACTING),
    *(Page(f"{act} a work item", of_item(act), ACTING) for act in ("take", "comment", "give_back")),
    Page("confirm a batch, retry", page("admin:sagas_batch_start", query="verb=retry&state=failed"), ACTING),
    Page("confirm a batch, compensate", page("admin:sagas_batch_start", query="verb=compensate&owner=shop-0"), ACTING),
    Page("make a batch", lambda sample, n: Request(_url("admin:sagas_batch_start", ()), dict(_BATCH), 302), ACTING),
    Page("pause or resume a batch", steered, ACTING),
    Page("compensate 20", done("compensate", "completed_again", 20), ACTING),
)

#: Addresses that are no pages of their own, and why.
EXCEPTIONS: Mapping[str, str] = {
    **{
        f"sagas_{model}_{view}": "refused: rows come from the engine"
        for model in ("saga", "definition", "worker", "failuregroup", "workitem", "batch")
        for view in ("delete", "add")
        if (model, view) != ("saga", "add")
    },
    "sagas_definition_history": "empty: nobody changes a definition in the admin",
    "sagas_worker_history": "empty: nobody changes a worker in the admin",
    "sagas_failuregroup_history": "empty: nobody changes a failure in the admin",
    "sagas_workitem_history": "empty: what is done to an item is in its saga's log",
}
