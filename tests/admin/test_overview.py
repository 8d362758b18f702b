"""The overview on the app's index: what it counts, where each number leads, who sees it, and what it costs."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.template import engines
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from sagas.admin import links
from sagas.engine.rollup import note_monitor, refresh
from sagas.models import HistoryEntry, Rollup, Saga, SagaCount, Worker
from tests.admin import pages, scenes

INDEX = reverse("admin:app_list", args=["sagas"])


def count() -> None:
    """Bring the rollup up to date."""
    while refresh(force=True):
        pass


def beat(**fields: Any) -> Worker:
    """A worker's row, just written."""
    given = {"host": "web-1", "pid": 1, "slots": 8, "beat_at": timezone.now()} | fields
    worker: Worker = Worker.objects.create(**given)
    return worker


def numbers(response: Any) -> list[tuple[str, str]]:
    """Address and text of each link to a list of sagas that has a number in it."""
    html = response.content.decode()
    links = re.findall(rf'<a href="({pages.LIST}\?[^"]*)"[^>]*>(.*?)</a>', html, flags=re.S)
    found = []
    for url, inside in links:
        number = re.findall(r"\d[\d,]*", re.sub(r"<[^>]+>", " ", inside))
        if number:
            found.append((unescape(url), number[-1]))
    return found


def plights() -> None:
    """One saga in each plight."""
    for make in scenes.PLIGHTS.values():
        make()
    Saga.objects.filter(pk=scenes.started().pk).update(stale_since=timezone.now())


def test_every_number_leads_to_a_list_of_as_many(operator: Client) -> None:
    plights()
    count()
    beat()

    found = numbers(operator.get(INDEX))

    assert len(found) > 25
    for url, number in found:
        response = operator.get(url)
        assert response.status_code == 200, url  # not led back to the whole list
        assert str(response.context["cl"].result_count) == number, url


def test_numbers__what_needs_somebody_comes_first(operator: Client) -> None:
    scenes.debt()
    scenes.debt()
    scenes.without_handler()
    oldest = scenes.started()
    Saga.objects.filter(pk=oldest.pk).update(stale_since=timezone.now())
    scenes.completed()
    Saga.objects.filter(pk=Saga.objects.earliest("id").pk).update(created_at=timezone.now() - timedelta(hours=5))
    count()
    beat()

    response = operator.get(INDEX)
    text = pages.text(response)

    assert "3 need attention undo failed 2 · no handler 1" in text
    assert "2 debts: an undo failed" in text
    assert "1 stale: no progress" in text
    assert "4 have not ended started 2 · compensating 2" in text
    assert "5 h oldest that has not ended admin_order" in text
    assert pages.page(Saga.objects.earliest("id")) in response.content.decode()
    assert "admin_order 3 1 2 1 2 0 0 All sagas 3 1 2 1 2 0 0" in text


def test_charts__with_text_and_table(operator: Client) -> None:
    scenes.completed()
    scenes.completed()
    old = scenes.compensated()
    old.history.update(at=timezone.now() - timedelta(hours=3))
    gone = scenes.failed()
    gone.history.update(at=timezone.now() - timedelta(hours=30))
    count()

    response = operator.get(INDEX)
    html, text = response.content.decode(), pages.text(response)

    assert re.search(
        r"Started 3 Started 3 in the last 24 hours; most in the hour from [^:]+(:\d\d)? ?[ap.m]*: 2\.", text
    )
    assert "Completed 2 " in text
    assert "Rolled back 1 " in text
    assert "Failed 0 Failed None in the last 24 hours." in text
    assert html.count('<svg role="img"') == 4
    assert html.count('class="saga-bar"') == 4 * 24
    assert len(response.context["overview"].hours) == 24


def test_counted__as_of_when_and_how_often(operator: Client) -> None:
    assert "Nothing is counted yet. Workers count" in pages.text(operator.get(INDEX))

    count()
    now = timezone.now()
    assert "Counts as of " in pages.text(operator.get(INDEX))
    assert "brought up to date every 10 s" in pages.text(operator.get(INDEX))

    Rollup.objects.update(counted_at=now - timedelta(hours=2))
    assert "These numbers are old" in pages.text(operator.get(INDEX))

    Rollup.objects.update(walked_at=None)
    assert "The first count of all sagas is under way" in pages.text(operator.get(INDEX))


def test_first_count_under_way__shows_what_is_counted(operator: Client) -> None:
    Rollup.objects.create(cursor=0, counted_at=timezone.now())
    SagaCount.objects.create(name="admin_order", version="", state="completed", recount=1234)

    assert "1,234" in pages.text(operator.get(INDEX))


def test_nobody_runs_them(operator: Client) -> None:
    scenes.started()
    count()
    alone = pages.text(operator.get(INDEX))
    beat(beat_at=timezone.now() - timedelta(minutes=3))
    silent = pages.text(operator.get(INDEX))
    beat()

    assert "No worker is running" in alone
    assert "No worker is running" in silent
    assert "1 lost" in silent
    assert "No worker is running" not in pages.text(operator.get(INDEX))


def test_machinery__workers_queues_and_the_monitor(operator: Client) -> None:
    now = timezone.now()
    beat(queue_depths={"saga.steps": 7}, running={"count": 3, "steps": []}, beat_at=now - timedelta(seconds=5))
    beat(queue_depths={"saga.steps": 1200, "saga.compensate": 0}, running={"count": 2, "steps": []}, beat_at=now)
    beat(dead=True)
    note_monitor()

    text = pages.text(operator.get(INDEX))

    assert "Workers alive 2 , 1 lost" in text
    assert "Steps running 5 of 16 slots" in text
    assert "Queue saga.steps 1,200 hints, seen 0 s ago" in text  # as who looked last has seen it
    assert "Queue saga.compensate 0 hints" in text
    assert re.search(r"Stale monitor ran last \d s ago", text)
    assert "Is celery beat" not in text

    Rollup.objects.update(monitored_at=now - timedelta(days=1))
    assert "Is celery beat" in pages.text(operator.get(INDEX))


def test_links_of_workers__lead_to_them(operator: Client) -> None:
    beat(host="alive")
    beat(host="gone", dead=True)
    html = operator.get(INDEX).content.decode()
    urls = {parse_qs(urlsplit(url).query)["life"][0]: url for url in re.findall(r'href="([^"]*\?life=[^"]*)"', html)}

    hosts = {life: [w.host for w in operator.get(url).context["cl"].result_list] for life, url in urls.items()}

    assert hosts == {"beating": ["alive"], "lost": ["gone"]}


@pytest.mark.parametrize(
    ("role", "sees"), [("staff", False), ("viewer", True), ("blind", False), ("superuser", True), ("anonymous", False)]
)
def test_rights(role: str, sees: bool, client_of: Callable[[str], Client]) -> None:
    scenes.started()
    count()

    response = client_of(role).get(INDEX)

    assert ("saga-overview" in response.content.decode()) == sees
    if not sees:
        assert scenes.NAME not in response.content.decode()


def test_rights__workers_are_not_linked_for_who_may_not_see_them(client_of: Callable[[str], Client]) -> None:
    beat()

    html = client_of("viewer").get(INDEX).content.decode()

    assert "Workers alive" in html
    assert "/sagas/worker/" not in html
    assert "periodictask" not in html


def test_queries__as_many_for_many_sagas_as_for_few(operator: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            assert operator.get(INDEX).status_code == 200
        return len(found)

    plights()
    beat()
    count()
    queries()
    few = queries()
    for _ in range(3):
        plights()
        beat()
    SagaCount.objects.bulk_create(
        SagaCount(name=f"other_{number}", version=str(number), state="completed", count=5) for number in range(50)
    )
    count()

    assert queries() == few


def test_queries__none_over_sagas_or_their_histories(operator: Client) -> None:
    plights()
    count()
    with CaptureQueriesContext(connection) as found:
        operator.get(INDEX)

    tables = [name for query in found for name in re.findall(r'FROM "(\w+)"', query["sql"])]
    assert not {Saga._meta.db_table, HistoryEntry._meta.db_table} & set(tables)
    # Two counts of what asks for a person: partial indexes hold that and nothing else.
    counts = [query["sql"] for query in found if 'FROM "sagas_step"' in query["sql"]]
    assert len(counts) == tables.count("sagas_step") == 2
    assert all('"held_since" IS NOT NULL' in sql and "LIMIT 1001" in sql for sql in counts)


def test_get_changes_nothing(operator: Client) -> None:
    scenes.started()
    count()
    with CaptureQueriesContext(connection) as found:
        operator.get(INDEX)

    assert [query["sql"] for query in found if re.match("INSERT|UPDATE|DELETE", query["sql"])] == []


def test_another_theme__that_has_its_own_templates_is_not_broken(
    operator: Client, tmp_path: Any, settings: Any
) -> None:
    folder = tmp_path / "admin"
    folder.mkdir()
    (folder / "app_index.html").write_text("<main>{% block content %}the theme's own{% endblock %}</main>")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    engines._templates = None
    engines.__dict__.pop("templates", None)
    engines._engines = {}
    scenes.started()
    count()
    try:
        html = operator.get(INDEX).content.decode()
    finally:
        engines._engines = {}

    assert html.startswith("<main>")
    assert "saga-overview" in html
    assert "the theme's own" in html


def test_site_without_sagas__shows_the_index_as_it_was(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.urls import NoReverseMatch

    def none(user: Any) -> None:
        raise NoReverseMatch

    monkeypatch.setattr("sagas.admin.overview.overview", none)

    response = operator.get(INDEX)

    assert response.status_code == 200
    assert "saga-overview" not in response.content.decode()


def test_hostile_names__are_escaped(operator: Client) -> None:
    Rollup.objects.create(
        cursor=0,
        walked_at=timezone.now(),
        counted_at=timezone.now(),
        facts={"attention": [["<script>a", "<script>b", 3]], "stale": [], "oldest": None},
    )
    SagaCount.objects.create(name="<script>c", version="<script>d", state="started", count=1)
    beat(queue_depths={"<script>e": 1})

    html = operator.get(INDEX).content.decode()

    assert not re.search(r"<script>[a-e]", html)
    assert "&lt;script&gt;b" in html


@pytest.mark.parametrize("asked", [links.hours(datetime(2026, 11, 21, 14, tzinfo=UTC), 3), "1h", "24h", "7d"])
def test_times_of_the_charts__the_list_knows_them(asked: str, operator: Client) -> None:
    response = operator.get(links.sagas(began=asked, ended=asked))

    assert response.status_code == 200
    assert "expected" not in response.content.decode()


@pytest.mark.parametrize("asked", ["yesterday", "2026-11-21T25:00Z", "9999999-01-01", "0001-01-01T00:00Z", "\0"])
def test_other_times__the_list_is_empty_and_says_why(asked: str, operator: Client) -> None:
    html = operator.get(pages.LIST, {"ended_since": asked}).content.decode()

    assert "expected a time" in html
