"""Pages that work for everybody: no scripts of ours, nothing from elsewhere, labels and headings where they belong."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.test import Client

import sagas
from tests.admin import pages, scenes

CODE = Path(sagas.__file__).parent
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


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


@pytest.fixture(params=["list", "page", "confirmation", "error", *pages.STEP_VERBS, "bad JSON", "debt"])
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
        "debt": lambda: operator.get(pages.page(stuck)),
    }
    found: str = made[request.param]().content.decode()
    return found


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
    for field in outline.all("textarea"):
        assert field["id"] in labelled
        assert set(field["aria-describedby"].split()) <= set(ids)
    for _tag, attrs in outline.tags:
        for named in attrs.get("aria-labelledby", "").split():
            assert named in ids
    assert len(outline.all("h1")) >= 1
    assert all(attrs.get("tabindex") == "0" and attrs.get("aria-label") for attrs in outline.all("pre"))
    for header in outline.all("th"):
        assert header.get("scope") or "field-saga_column" in header.get("class", "")


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
    assert "<script" not in templates
    assert "style=" not in templates
    assert not re.findall(r":[^;{]*(#[0-9a-f]{3,8}\b|rgb|hsl)", css)
    assert "url(" not in css
