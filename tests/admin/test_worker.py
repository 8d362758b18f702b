"""The list of workers."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from sagas.models import Worker
from tests.admin import pages, scenes

LIST = reverse("admin:sagas_worker_changelist")


@pytest.mark.parametrize(
    ("beat", "dead", "life"),
    [
        (2, False, "beating 2 s ago"),
        (90, False, "silent 1 min ago"),
        (None, False, "silent -"),
        (2, True, "dead 2 s ago"),
    ],
)
def test_life(beat: int | None, dead: bool, life: str, operator: Client) -> None:
    at = None if beat is None else timezone.now() - timedelta(seconds=beat, milliseconds=10)
    worker = Worker.objects.create(host="web-1", pid=4711, slots=8, free_slots=3, dead=dead, beat_at=at)

    text = pages.text(operator.get(LIST))

    assert f"web-1:4711 {life} all 3/8 " in text
    assert f"Life: {life.split()[0]} " in pages.text(operator.get(f"{LIST}{worker.pk}/change/"))


def test_page__queues_handlers_depths(operator: Client) -> None:
    worker = Worker.objects.create(
        host="web-1",
        pid=1,
        queues=["", "slow"],
        handlers=["b.undo", "a.do"],
        queue_depths={"saga.steps": 12, "saga.compensate": 0},
    )

    text = pages.text(operator.get(f"{LIST}{worker.pk}/change/"))

    assert "Queues: common, slow" in text
    assert "Handlers: a.do, b.undo" in text
    assert "Queue depths: saga.compensate: 0, saga.steps: 12" in text


def test_rights(db: None) -> None:
    user = User.objects.create(username="v", is_staff=True)
    client = Client()
    client.force_login(user)
    worker = Worker.objects.create(host="web-1", pid=1)
    assert client.get(LIST).status_code == 403

    user.user_permissions.add(Permission.objects.get(codename="view_worker"))

    assert client.get(LIST).status_code == 200
    assert client.post(f"{LIST}{worker.pk}/change/", {"host": "other"}).status_code == 403
    assert client.post(f"{LIST}{worker.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.get(f"{LIST}add/").status_code == 403


def test_running_steps__with_links_to_their_sagas(operator: Client) -> None:
    saga = scenes.running()
    steps = [{"saga": saga.ulid, "step": "charge_payment", "undo": False}, {"saga": "odd", "step": "<b>", "undo": True}]
    worker = Worker.objects.create(host="web-1", pid=1, slots=8, running={"count": 7, "steps": steps})

    response = operator.get(f"{LIST}{worker.pk}/change/")
    text, html = pages.text(response), response.content.decode()

    assert f"Running steps: charge_payment {saga.ulid} <b>, being undone and 5 more" in text
    assert f'href="{pages.page(saga)}"' in html
    assert "<b>, being" not in html
    assert " 7 " in pages.text(operator.get(LIST))


@pytest.mark.parametrize("running", [None, {}, {"count": 0, "steps": []}])
def test_running_steps__none_or_of_an_older_worker(running: object, operator: Client) -> None:
    worker = Worker.objects.create(host="web-1", pid=1, running=running)

    assert "Running: 0 Running steps: - " in pages.text(operator.get(f"{LIST}{worker.pk}/change/"))


def test_list__by_life(operator: Client) -> None:
    now = timezone.now()
    Worker.objects.create(host="beats", pid=1, beat_at=now)
    Worker.objects.create(host="silent", pid=2, beat_at=now - timedelta(minutes=5))
    Worker.objects.create(host="mute", pid=3)
    Worker.objects.create(host="dead", pid=4, beat_at=now, dead=True)

    def hosts(life: str) -> set[str]:
        return {worker.host for worker in operator.get(f"{LIST}?life={life}").context["cl"].result_list}

    assert hosts("beating") == {"beats"}
    assert hosts("lost") == {"silent", "mute", "dead"}
    assert hosts("odd") == set()
    assert "expected one of beating, lost, got “odd”" in pages.text(operator.get(f"{LIST}?life=odd"))


def test_queries__as_many_for_many_workers_as_for_few(operator: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            assert operator.get(LIST).status_code == 200
        return len(found)

    Worker.objects.create(host="web-1", pid=1)
    queries()
    few = queries()
    Worker.objects.bulk_create(Worker(host="web-2", pid=number) for number in range(30))

    assert queries() == few
