"""The participants' admin shows their books and changes nothing, even for a superuser."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import Client

from tests.participants.requests import SERVICES

MODELS = [
    model
    for label in ("orders", "inventory", "payments", "shipping")
    for model in apps.get_app_config(label).get_models()
]


@pytest.fixture
def books(shelves: None) -> None:
    """At least one row in every table."""
    for service in SERVICES.values():
        service.run()
        service.run("another:do")
    SERVICES["payments"].undo("k:do")


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_admin__shows_and_changes_nothing(admin_client: Client, model: type[Model]):
    base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    before = list(model.objects.order_by("pk").values())
    row = model.objects.first()
    assert row is not None
    key = admin.utils.quote(row.pk)

    assert admin_client.get(base).status_code == 200
    assert admin_client.get(f"{base}?q=k").status_code == 200
    assert admin_client.get(f"{base}{key}/change/").status_code == 200
    assert admin_client.get(f"{base}add/").status_code == 403
    assert admin_client.post(f"{base}{key}/change/", {"quantity": 1}).status_code == 403
    assert admin_client.post(f"{base}{key}/delete/", {"post": "yes"}).status_code == 403
    assert list(model.objects.order_by("pk").values()) == before
