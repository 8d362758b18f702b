"""The list of workers."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from sagas.models import Worker
from tests.admin import pages

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
