"""The storefront: what is on the page, who sees what, and that every choice it offers is a real one."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from participants.contracts import read_order
from participants.payments.provider import CARDS as PROVIDER_CARDS
from sagaproject import storefront

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "participants" / "static" / "storefront"
SCRIPT = (STATIC / "storefront.js").read_text(encoding="utf-8")

pytestmark = pytest.mark.django_db


@pytest.fixture
def customer() -> User:
    return User.objects.create_user("ines", password="a good password")


def shop_of(page: str) -> dict:
    found = re.search(r'<script id="shop" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_page__anonymous__offers_to_sign_in_and_no_order(client: Client):
    page = client.get("/").content.decode()

    assert 'name="password"' in page
    assert 'id="order-form"' not in page
    assert "charge_payment" in page


def test_sign_in__leads_back_to_the_page(client: Client, customer: User):
    answer = client.post("/", {"username": "ines", "password": "a good password"})

    assert (answer.status_code, answer["Location"]) == (302, "/")
    page = client.get("/").content.decode()
    assert 'id="order-form"' in page
    assert "Sign out ines" in page


def test_sign_in__wrong_password__says_so(client: Client, customer: User):
    page = client.post("/", {"username": "ines", "password": "no"}).content.decode()

    assert "Please enter a correct username and password" in page


def test_sign_in__without_csrf_token__is_refused(customer: User):
    client = Client(enforce_csrf_checks=True)

    assert client.post("/", {"username": "ines", "password": "a good password"}).status_code == 403


def test_sign_out__leads_back_to_the_page(client: Client, customer: User):
    client.force_login(customer)

    answer = client.post("/", {"sign_out": ""})

    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert 'name="password"' in client.get("/").content.decode()


def test_demo_sign_in__only_in_a_demonstration(client: Client, settings: Any):
    settings.DEMO = False
    assert "demo's operator" not in client.get("/").content.decode()

    settings.DEMO = True

    assert "demo's operator" in client.get("/").content.decode()


def test_page__lists_the_steps_of_the_definition(client: Client):
    page = client.get("/").content.decode()

    assert re.findall(r'data-step="(\w+)"', page) == [
        "create_order",
        "reserve_inventory",
        "validate_address",
        "charge_payment",
        "schedule_shipping",
    ]
    assert "beside validate_address" in page


def test_page__admin_link_in_the_list__for_staff_only(client: Client, admin_client: Client, customer: User):
    client.force_login(customer)

    assert "data-admin" not in client.get("/").content.decode()
    assert 'data-admin="/admin/sagas/saga/"' in admin_client.get("/").content.decode()


@pytest.mark.parametrize("scenario", storefront.SCENARIOS, ids=lambda scenario: scenario["label"])
def test_scenario__makes_a_valid_order_of_what_is_shown(client: Client, customer: User, scenario: dict):
    client.force_login(customer)
    shop = shop_of(client.get("/").content.decode())
    articles = shop["articles"]

    for currency in shop["digits"]:
        order = read_order(
            {
                "number": "W-1",
                "customer": "visitor@example.org",
                "currency": currency,
                "card": scenario["card"],
                "lines": [
                    {"sku": sku, "quantity": quantity, "price": articles[sku]["prices"][currency]}
                    for sku, quantity in scenario["cart"].items()
                ],
                "address": shop["addresses"][scenario["address"]],
            }
        )
        assert order.total > 0
    assert scenario["card"] in PROVIDER_CARDS


def test_script__has_words_for_every_reason_of_the_services():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "participants").glob("*/s*.py"))
    codes = set(re.findall(r'code="(\w+)"', sources))

    assert {"insufficient_stock", "card_declined", "provider_timeout"} <= codes
    for code in codes:
        assert f"{code}:" in SCRIPT, code


def test_page__fetches_nothing_from_elsewhere(client: Client):
    texts = [client.get("/").content.decode(), SCRIPT, (STATIC / "storefront.css").read_text(encoding="utf-8")]

    for text in texts:
        assert "https://" not in text
        assert "http://" not in text
    assert "<style" not in texts[0]
    assert not re.search(r"<script(?![^>]*(src=|application/json))", texts[0])


def test_static_files__are_served(client: Client):
    for name in ("storefront.css", "storefront.js", "icon.svg"):
        answer = client.get(f"/static/storefront/{name}")

        assert answer.status_code == 200, name
        assert b"".join(answer.streaming_content) == (STATIC / name).read_bytes()
        answer.close()


def test_admin__carries_the_project_s_name(admin_client: Client):
    page = admin_client.get("/admin/").content.decode()

    assert "sagas demo" in page
    assert '<a href="/">View site</a>' in page
