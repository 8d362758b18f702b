"""Times in the viewer's zone: the project's choice, the browser's, or the default; for one request, on our pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

import sagas
from participants.orders.models import Order
from sagas.admin import cells
from sagas.admin.zone import COOKIE, in_viewers_zone, viewers_zone
from sagas.engine import batch as batches
from sagas.engine.rollup import refresh
from sagas.models import Saga, Worker
from tests.admin import pages, scenes

BERLIN = "Europe/Berlin"


def with_cookie(client: Client, zone: str = BERLIN) -> Client:
    client.cookies[COOKIE] = zone
    return client


def tokyo(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A project's middleware, after Django's example."""

    def middleware(request: HttpRequest) -> HttpResponse:
        with timezone.override("Asia/Tokyo"):
            return get_response(request)

    return middleware


# -- which zone


def test_page__in_the_browsers_zone(operator: Client) -> None:
    saga = scenes.started()
    Saga.objects.filter(pk=saga.pk).update(created_at=datetime(2026, 7, 1, 10, tzinfo=UTC))

    before = pages.text(operator.get(pages.page(saga)))
    after = pages.text(with_cookie(operator).get(pages.page(saga)))

    assert "Times are in UTC." in before
    assert "2026-07-01 10:00:00" in before
    assert "Times are in Europe/Berlin." in after
    assert "2026-07-01 12:00:00" in after
    assert "2026-07-01 10:00:00" not in after


@pytest.mark.parametrize(
    "cookie",
    [
        "Nowhere/Here",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe",
        "Z" * 3000,
        "<script>",
        "é",
        "Europe/Berlin;x",
        "",
    ],
    ids=["unknown", "parent", "absolute", "directory", "long", "markup", "sign", "two", "empty"],
)
def test_garbage__is_no_zone(cookie: str, operator: Client) -> None:
    request = RequestFactory().get("/")
    request.COOKIES[COOKIE] = cookie

    assert viewers_zone(request) == timezone.get_default_timezone()
    assert "Times are in UTC." in pages.text(with_cookie(operator, cookie).get(pages.LIST))


def test_project__knows_better(operator: Client, settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "tests.admin.test_zone.tokyo"]

    found = pages.text(with_cookie(operator).get(pages.LIST))

    assert "Times are in Asia/Tokyo." in found


def test_project__that_chose_its_default_zone() -> None:
    """That a user has chosen the zone which is the default too is a choice."""
    request = RequestFactory().get("/")
    request.COOKIES[COOKIE] = BERLIN

    with timezone.override("UTC"):
        assert viewers_zone(request) == ZoneInfo("UTC")
    assert viewers_zone(request) == ZoneInfo(BERLIN)


def test_page__says_it_once(operator: Client) -> None:
    scenes.failed()
    batch = batches.create("retry", {"state": "failed"}, reason="the bank is back", actor="ines", rate=50)

    for address in (reverse("admin:sagas_batch_change", args=[batch.pk]), pages.page(scenes.debt())):
        assert pages.text(operator.get(address)).count("Times are in UTC.") == 1


# -- for how long, and where


def test_request__leaves_the_thread_as_it_was(operator: Client) -> None:
    with_cookie(operator).get(pages.LIST)
    assert timezone.get_current_timezone_name() == "UTC"

    with_cookie(operator).get(reverse("admin:app_list", args=["sagas"]))
    assert timezone.get_current_timezone_name() == "UTC"

    del operator.cookies[COOKIE]
    assert "Times are in UTC." in pages.text(operator.get(pages.LIST))


def test_request__leaves_it_so_after_an_error() -> None:
    def broken(request: HttpRequest) -> HttpResponse:
        assert timezone.get_current_timezone_name() == BERLIN
        raise LookupError

    request = RequestFactory().get("/")
    request.COOKIES[COOKIE] = BERLIN

    with pytest.raises(LookupError):
        in_viewers_zone(broken)(request)
    assert timezone.get_current_timezone_name() == "UTC"


def test_rendering__comes_when_middleware_is_through() -> None:
    """What a project's middleware puts into a page's context is in the page."""
    from django.template import engines

    template = engines["django"].from_string("{% load tz %}{% get_current_timezone as zone %}{{ zone }} {{ word }}")

    def view(request: HttpRequest) -> HttpResponse:
        return TemplateResponse(request, template, {"word": "view"})

    request = RequestFactory().get("/")
    request.COOKIES[COOKIE] = BERLIN
    response = in_viewers_zone(view)(request)
    assert isinstance(response, TemplateResponse)
    assert not response.is_rendered
    response.context_data = {"word": "middleware"}

    assert response.render().content == b"Europe/Berlin middleware"
    assert timezone.get_current_timezone_name() == "UTC"


def test_other_pages__stay_as_they_are(operator: Client) -> None:
    User.objects.update(date_joined=datetime(2026, 7, 1, 10, 7, tzinfo=UTC), last_login=None)
    user = User.objects.get()

    page = with_cookie(operator).get(reverse("admin:auth_user_change", args=[user.pk]))

    assert 'value="10:07:00"' in page.content.decode()


def test_panel__in_the_viewers_zone_on_the_projects_page(operator: Client) -> None:
    saga = scenes.started()
    Saga.objects.filter(pk=saga.pk).update(created_at=datetime(2026, 7, 1, 10, tzinfo=UTC))
    order = Order.objects.create(saga=saga.pk, number="A-1", customer="ines", currency="EUR", total=1)

    page = with_cookie(operator).get(reverse("admin:orders_order_change", args=[order.pk]))

    assert 'title="2026-07-01 12:00:00 CEST"' in page.content.decode()


def test_log__in_the_viewers_zone(operator: Client) -> None:
    saga = scenes.started()
    pages.confirm(operator, "pause", saga)

    page = with_cookie(operator).get(reverse("admin:sagas_saga_history", args=[saga.ulid]))

    assert "Times are in Europe/Berlin." in pages.text(page)


# -- summer and winter


def test_hour_that_comes_twice__is_told_apart() -> None:
    with timezone.override(BERLIN):
        summer = cells.moment(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
        winter = cells.moment(datetime(2026, 10, 25, 1, 30, tzinfo=UTC))

    assert ">2026-10-25 02:30:00<" in summer
    assert ">2026-10-25 02:30:00<" in winter
    assert "CEST" in summer
    assert "CET" in winter
    assert "CEST" not in winter


# -- what is typed


def test_filters__read_times_in_the_zone_they_name(operator: Client) -> None:
    saga = scenes.started()
    ahead = datetime.now(ZoneInfo("Asia/Tokyo")) - timedelta(minutes=10)
    address = f"{pages.LIST}?since={ahead:%Y-%m-%d+%H:%M}"

    here = operator.get(address)
    there = with_cookie(operator, "Asia/Tokyo").get(address)

    assert saga.ulid not in pages.text(here)
    assert "Each in full. Times are in UTC." in pages.text(here)
    assert saga.ulid in pages.text(there)
    assert "Each in full. Times are in Asia/Tokyo." in pages.text(there)


@pytest.mark.parametrize("typed", ["2026-03-29+02:30", "2026-10-25+02:30"], ids=["no such hour", "twice"])
def test_filters__in_the_night_when_clocks_change(typed: str, operator: Client) -> None:
    page = with_cookie(operator).get(f"{pages.LIST}?since={typed}")

    assert page.status_code == 200
    assert not page.context["cl"].problems()


def test_next_try__is_typed_in_the_zone(operator: Client) -> None:
    saga = scenes.debt()
    at = timezone.now().replace(second=0, microsecond=0) + timedelta(hours=3)
    local = at.astimezone(ZoneInfo("Asia/Tokyo"))

    client = with_cookie(operator, "Asia/Tokyo")
    pages.confirm_step(client, "assign", saga, "create_order", owner="ines", next_try=f"{local:%Y-%m-%dT%H:%M}")

    assert saga.steps.get(name="create_order").due_at == at


# -- every page says so


def _addresses() -> dict[str, Callable[[Client], Any]]:
    return {
        "overview": lambda client: client.get(reverse("admin:app_list", args=["sagas"])),
        "list": lambda client: client.get(pages.LIST),
        "page": lambda client: client.get(pages.page(scenes.failed())),
        "log": lambda client: client.get(reverse("admin:sagas_saga_history", args=[scenes.started().ulid])),
        "confirmation": lambda client: pages.select(client, "compensate", scenes.waiting()),
        "step": lambda client: pages.ask_step(client, "skip", scenes.debt(), "create_order"),
        "reveal": lambda client: client.post(
            reverse("admin:sagas_saga_reveal"), {"saga": pages.item(scenes.secret()), "origin": "page"}
        ),
        "add": lambda client: client.get(reverse("admin:sagas_saga_add")),
        "start": lambda client: client.get(reverse("admin:sagas_saga_start", args=["admin_typed"])),
        "definitions": lambda client: client.get(reverse("admin:sagas_definition_changelist")),
        "definition": lambda client: client.get(reverse("admin:sagas_definition_change", args=["admin_short"])),
        "workers": lambda client: client.get(reverse("admin:sagas_worker_changelist")),
        "worker": lambda client: client.get(
            reverse("admin:sagas_worker_change", args=[Worker.objects.create(host="web-1", pid=1).pk])
        ),
    }


@pytest.mark.parametrize("name", _addresses())
def test_every_page__names_its_zone_and_has_the_script_once(name: str, operator: Client) -> None:
    refresh(force=True)

    page = _addresses()[name](with_cookie(operator))

    html = page.content.decode()
    scripts = re.findall(r'<script src="/static/sagas/zone.js" ([^>]*)>', html)
    assert page.status_code == 200
    assert len(scripts) == 1
    assert 'data-path="/admin/"' in scripts[0]
    assert 'data-zone="Europe/Berlin"' in scripts[0]
    # The answer to a form is never loaded again by itself.
    assert ("data-fresh" in scripts[0]) == (page.wsgi_request.method == "GET")
    assert "Times are in Europe/Berlin." in pages.text(page)


def test_every_page_of_the_app__is_asked(operator: Client) -> None:
    """A model that is registered later is here, and its pages tell the zone too."""
    from django.contrib import admin
    from django.contrib.admin import site

    for model, model_admin in site._registry.items():
        if model._meta.app_label == "sagas":
            assert isinstance(model_admin, admin.ModelAdmin)
            page = with_cookie(operator).get(reverse(f"admin:sagas_{model._meta.model_name}_changelist"))
            assert "Times are in Europe/Berlin." in pages.text(page), model


def test_every_template_of_a_page__has_the_zone() -> None:
    """Pages that no list leads to, too: those of one batch, of one group, of a question."""
    root = Path(sagas.__file__).parent / "templates/admin/sagas"
    own = {path: path.read_text(encoding="utf-8") for path in root.rglob("*.html")}
    pages_of_admin = re.compile(r'{% extends "admin/(?:base_site|change_list|change_form|object_history)\.html" %}')

    bare = [path.name for path, text in own.items() if pages_of_admin.search(text) and "parts/zone.html" not in text]
    assert bare == []
