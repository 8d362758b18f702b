"""Which sagas the pages are asked about: some of each role, kept in a table beside the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from participants.orders.models import Order
from sagas.definitions.ids import id_text
from sagas.models import Batch, FailureGroup, Saga, Step

_MAKE = "CREATE TABLE volume_sample (role text NOT NULL, saga uuid NOT NULL)"
_KEEP = "INSERT INTO volume_sample SELECT %s, unnest(%s::uuid[])"
_READ = "SELECT role, array_agg(saga ORDER BY saga) FROM volume_sample GROUP BY role"


@dataclass(frozen=True, slots=True)
class Sample:
    """Ids by role; any number leads to one of them."""

    ids: Mapping[str, Sequence[UUID]]
    orders: Sequence[int]
    #: Groups of failures, and batches.
    failures: Sequence[UUID] = ()
    batches: Sequence[int] = ()

    def key(self, role: str, number: int) -> UUID:
        """The next of that role; they begin anew behind the last one."""
        found = self.ids[role]
        return found[number % len(found)]

    def ulid(self, role: str, number: int) -> str:
        """As addresses spell it."""
        return id_text(self.key(role, number))

    def saga(self, role: str, number: int) -> Saga:
        """As it is now."""
        return Saga.objects.get(pk=self.key(role, number))

    def item(self, role: str, number: int) -> str:
        """As a confirmation names it."""
        saga = self.saga(role, number)
        return f"{saga.ulid}:{saga.revision}"

    def held(self, number: int) -> int:
        """The key of a step that asks for a person."""
        return Step.objects.get(saga_id=self.key("debt", number), position=0).pk

    def some(self, role: str, number: int, count: int) -> list[Saga]:
        """So many different ones, others each time as long as there are."""
        found = self.ids[role]
        begin = number * count % len(found)
        wanted = [*found[begin:], *found[:begin]][:count]
        return list(Saga.objects.filter(pk__in=wanted).only("id", "revision"))


def keep(ids: Mapping[str, Sequence[str]]) -> None:
    """For `read`, in this process or another one."""
    with connection.cursor() as cursor:
        cursor.execute(_MAKE)
        for role, found in ids.items():
            cursor.execute(_KEEP, [role, list(found)])


def read() -> Sample:
    """What `keep` was given."""
    with connection.cursor() as cursor:
        cursor.execute(_READ)
        ids = dict(cursor.fetchall())
    orders = Order.objects.order_by("pk").values_list("pk", flat=True)
    failures = FailureGroup.objects.order_by("-total").values_list("pk", flat=True)
    batches = Batch.objects.order_by("pk").values_list("pk", flat=True)
    return Sample(ids, list(orders), list(failures[:100]), list(batches[:100]))
