"""Pages that work for everybody: one small script, nothing from elsewhere, labels and headings where they belong."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

import sagas
from participants.orders.models import Order
from sagas.engine.rollup import refresh
from sagas.models import Worker
from tests.admin import pages, scenes

CODE = Path(sagas.__file__).parent
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
#: Pages that are about no one saga.
OTHERS = {
    "overview": reverse("admin:app_list", args=["sagas"]),
    "definitions": reverse("admin:sagas_definition_changelist"),
    "definition": reverse("admin:sagas_definition_change", args=[scenes.NAME]),
    "workers": reverse("admin:sagas_worker_changelist"),
}


class Outline(HTMLParser):
    """Ids, labels, fields and the nesting of tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(html)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes something else"

    def all(self, name: str) -> list[dict[str, str]]:
        return [attrs for tag, attrs in self.tags if tag == name]


REVEAL = reverse("admin:sagas_saga_reveal")
START = reverse("admin:sagas_saga_start", args=["admin_typed"])


@pytest.fixture(
    params=[
        "list", "page", "confirmation", "error", *pages.STEP_VERBS, "bad JSON", "debt", "secret", "elements", "parent",
        "reveal", "no reason", "revealed", "panel", "signal", "start", "start typed", "start wrong", *OTHERS,
    ]
)  # fmt: skip
def html(request: pytest.FixtureRequest, operator: Client) -> str:
    saga = scenes.waiting()
    plights = {"approve": scenes.awaiting_approval, "deny": scenes.awaiting_approval, "retry_with": scenes.failed}
    stuck = plights.get(request.param, scenes.debt)()
    name = {"approve": "charge", "deny": "charge", "retry_with": "charge_payment"}.get(request.param, "create_order")
    if request.param == "roll_back_to":
        stuck = saga
    made = {
        "list": lambda: operator.get(pages.LIST),
        "page": lambda: operator.get(pages.page(saga)),
        "confirmation": lambda: pages.select(operator, "compensate", saga),
        "error": lambda: pages.confirm(operator, "compensate", saga, reason=""),
        **{verb: lambda: pages.ask_step(operator, request.param, stuck, name) for verb in pages.STEP_VERBS},
        "bad JSON": lambda: pages.confirm_step(operator, "skip", stuck, name, output="{", reason=""),
        "signal": lambda: pages.confirm(operator, "signal", scenes.awaiting_signal(), name="x", reason=""),
        "start": lambda: operator.get(reverse("admin:sagas_saga_add")),
        "start typed": lambda: operator.get(START),
        "start wrong": lambda: operator.post(START, {"other": "{", "subject_id": "7", "context-express": "on"}),
        "debt": lambda: operator.get(pages.page(stuck)),
        **{other: lambda: operator.get(OTHERS[request.param]) for other in OTHERS},
        "secret": lambda: operator.get(pages.page(scenes.secret())),
        "elements": lambda: operator.get(pages.page(scenes.opened_out(60, doubtful=1, done=3))),
        "parent": lambda: operator.get(pages.page(scenes.parent()[0])),
        "reveal": lambda: operator.post(REVEAL, {"saga": pages.item(scenes.secret())}),
        "no reason": lambda: operator.post(
            REVEAL, {"saga": pages.item(scenes.secret()), "confirmed": "yes", "reason": ""}
        ),
        "revealed": lambda: operator.post(
            REVEAL, {"saga": pages.item(scenes.secret()), "confirmed": "yes", "reason": "x"}
        ),
        "panel": lambda: operator.get(_order_page()),
    }
    if request.param in OTHERS:
        Worker.objects.create(host="web-1", pid=1, queue_depths={"saga.steps": 3}, beat_at=timezone.now())
        refresh(force=True)
    found: str = made[request.param]().content.decode()
    return found


def _order_page() -> str:
    order = Order.objects.create(saga=scenes.debt().pk, number="A-1", customer="ines", currency="EUR", total=1)
    return reverse("admin:orders_order_change", args=[order.pk])


def test_nothing_from_elsewhere(html: str) -> None:
    outline = Outline(html)

    loaded = [attrs.get("src", "") for attrs in outline.all("script") + outline.all("img")]
    loaded += [attrs["href"] for attrs in outline.all("link")]
    assert all(address.startswith("/") for address in loaded)
    assert "/static/sagas/admin.css" in loaded
    assert not [attrs for _tag, attrs in outline.tags if any(name.startswith("on") for name in attrs)]


def test_names_and_labels(html: str) -> None:
    outline = Outline(html)

    ids = Counter(attrs["id"] for _tag, attrs in outline.tags if "id" in attrs)
    assert not [name for name, count in ids.items() if count > 1]
    labelled = {attrs.get("for") for attrs in outline.all("label")}
    for field in outline.all("textarea") + [one for one in outline.all("input") if one.get("type") == "radio"]:
        assert field["id"] in labelled
    for field in outline.all("textarea") + outline.all("select"):
        assert field.get("id") in labelled or field.get("name") == "action"
    for field in outline.all("textarea"):
        assert field["id"] in labelled
        assert set(field["aria-describedby"].split()) <= set(ids)
    for _tag, attrs in outline.tags:
        for named in attrs.get("aria-labelledby", "").split():
            assert named in ids
    assert len(outline.all("h1")) >= 1
    assert all(attrs.get("tabindex") == "0" and attrs.get("aria-label") for attrs in outline.all("pre"))
    for header in outline.all("th"):
        # Django writes the first cell of a list's rows so.
        assert header.get("scope") or header.get("class", "").startswith("field-")


def test_forms__post_and_carry_a_token(html: str) -> None:
    forms = re.findall(r"<form\b[^>]*method=\"post\".*?</form>", html, flags=re.S)

    assert forms
    assert all("csrfmiddlewaretoken" in form for form in forms)


def test_sources__no_mark_safe_no_script_no_fixed_colours() -> None:
    code = "".join(path.read_text() for path in (CODE / "admin").rglob("*.py"))
    templates = "".join(path.read_text() for path in (CODE / "templates").rglob("*.html"))
    css = (CODE / "static/sagas/admin.css").read_text()

    assert "mark_safe" not in code
    assert "|safe" not in templates
    assert "autoescape" not in templates
    assert re.findall(r"<script [^>]*?(?=data-)", templates) == ["""<script src="{% static "sagas/zone.js" %}" """]
    assert templates.count("<script") == 1
    assert "style=" not in templates
    assert not re.findall(r":[^;{]*(#[0-9a-f]{3,8}\b|rgb|hsl)", css)
    assert "url(" not in css
