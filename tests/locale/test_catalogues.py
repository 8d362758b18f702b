"""The catalogues: complete, well-formed, compiled, and at peace with Django's own."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import django
import pytest
from django.contrib.messages import get_messages
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import translation

from sagas.core.states import SagaState, StepStatus
from sagas.models.saga import SAGA_STATES
from tests.admin import pages, scenes
from tests.locale import catalogue
from tests.locale.catalogue import Entry, Text

LANGUAGES = catalogue.languages()


@cache
def entries(language: str) -> list[Entry]:
    return catalogue.entries(language)


def test_german__is_there() -> None:
    assert "de" in LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue__has_every_text(language: str) -> None:
    assert catalogue.missing(language) == [], "python -m tests.locale.catalogue; docs/admin.md says how to refresh"


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue__has_nothing_else(language: str) -> None:
    assert catalogue.surplus(language) == []
    assert "#~" not in catalogue.path_of(language).read_text(encoding="utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
def test_entries__keep_placeholders_and_edges(language: str) -> None:
    """What is put into a text stays in it; spaces at the edges hold pieces apart; a colon stays one."""
    wrong = [
        (entry.text.singular, form)
        for entry in entries(language)
        for number, form in enumerate(entry.forms)
        if sorted(catalogue.PLACEHOLDER.findall(form)) != entry.text.placeholders
        or _edges(form) != _edges(entry.text.plural if number else entry.text.singular)
    ]

    assert wrong == []


def _edges(text: str) -> tuple[bool, bool, bool]:
    return text[:1].isspace(), text[-1:].isspace(), text.rstrip()[-1:] == ":"


@pytest.mark.parametrize("language", LANGUAGES)
def test_entries__have_all_plural_forms(language: str) -> None:
    head = catalogue.path_of(language).read_text(encoding="utf-8")
    count = int(re.search(r"nplurals=(\d)", head)[1])  # type: ignore[index]

    assert not [one.text for one in entries(language) if len(one.forms) != (count if one.text.plural else 1)]
    assert any(one.text.plural for one in entries(language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_compiled__says_what_the_text_file_says(language: str) -> None:
    expected: dict[object, str] = {}
    for entry in entries(language):
        key = f"{entry.text.context}\x04{entry.text.singular}" if entry.text.context else entry.text.singular
        expected |= (
            {(key, n): form for n, form in enumerate(entry.forms)} if entry.text.plural else {key: entry.forms[0]}
        )
    found = {key: text for key, text in catalogue.compiled(language).items() if key}

    assert found == expected, "python ../manage.py compilemessages, in sagas/"


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogue__does_not_change_what_others_say(language: str) -> None:
    """All apps share one catalogue: a text that Django has too means the same there, or carries a context."""
    roots = [Path(django.__file__).parent / "conf", *(Path(django.__file__).parent / "contrib").iterdir()]
    theirs: dict[Text, list[str]] = {}
    for root in roots:
        path = root / "locale" / language / "LC_MESSAGES" / "django.po"
        if path.exists():
            theirs |= {one.text: one.forms for one in catalogue.read(path.read_text(encoding="utf-8"))}

    differs = [(one.text, theirs[one.text], one.forms) for one in entries(language) if one.text in theirs]
    assert [one for one in differs if one[1] != one[2]] == []


# -- the words of states, which models look up by their values


def test_states__are_words_of_the_catalogue() -> None:
    asked = {text.singular for text in catalogue.wanted()}

    assert {str(text) for _value, text in SAGA_STATES} <= asked
    assert {status.value.replace("_", " ") for status in StepStatus} <= asked
    assert {state.value for state in SagaState} <= asked


# -- what the reader of sources sees


def test_reader__of_code() -> None:
    source = """
_("one"); gettext_lazy("two" " and a half"); ngettext("%(n)d step", "%(n)d steps", 3)
pgettext("button", "Filter"); npgettext("x", "a", "b", n); translation.gettext("three"); _(name); print("no")
"""
    assert set(catalogue.in_code(source)) == {
        Text("one"), Text("two and a half"), Text("%(n)d step", "%(n)d steps"), Text("Filter", context="button"),
        Text("a", "b", "x"), Text("three"),
    }  # fmt: skip


def test_reader__of_templates() -> None:
    source = """{% load i18n %}{% translate "It's (one)" %}{% translate "Filter" context "button" %}
{% blocktranslate count n=2 with x=y %}{{ n }} step of ({{ x }}){% plural %}{{ n }} steps{% endblocktranslate %}
{% include "x.html" with title=_("two") %} three"""
    assert set(catalogue.in_template(source)) == {
        Text("It's (one)"), Text("Filter", context="button"), Text("%(n)s step of (%(x)s)", "%(n)s steps"), Text("two"),
    }  # fmt: skip


def test_reader__of_catalogues() -> None:
    po = """msgid ""
msgstr ""
"head\\n"

#, fuzzy, python-format
msgctxt "x"
msgid ""
"one "
"two"
msgstr "z\\"w"
"""

    assert list(catalogue.read(po)) == [Entry(Text("one two", context="x"), ['z"w'], fuzzy=True)]


# -- for people


def test_pages__speak_the_viewers_language(operator: Client) -> None:
    saga = scenes.debt()

    page = operator.get(pages.page(saga), headers={"accept-language": "de-AT,de;q=0.9,en;q=0.5"})

    assert page["Content-Language"] == "de"
    found = pages.text(page)
    assert "Die Kompensation ist endgültig gescheitert" in found
    assert "wird kompensiert" in found
    assert "Kompensation gescheitert" in found


@override_settings(LANGUAGE_CODE="de")
def test_messages__speak_it_too(operator: Client) -> None:
    response = pages.confirm(operator, "pause", scenes.started())

    assert next(str(one) for one in get_messages(response.wsgi_request)).startswith("1 Saga ist pausiert")


@override_settings(LANGUAGE_CODE="de")
def test_numbers_and_times__are_written_the_viewers_way(operator: Client) -> None:
    from datetime import timedelta

    from sagas.admin import cells

    with translation.override("de"):
        assert cells.number(12345) == "12.345"
        assert cells.length(timedelta(seconds=2.46)) == "2,5 s"
        assert cells.length(timedelta(days=3, hours=4)) == "3 Tg. 4 Std."
        assert cells.percent(0.5) == "50,0 %"
    assert operator.get(reverse("admin:app_list", args=["sagas"])).status_code == 200


# -- texts that were forgotten

TEMPLATES = sorted((catalogue.APP / "templates").rglob("*.html"))
#: What is the same in every language.
NAMES = {"UUID", "p50", "p95", "admin", "yes"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.relative_to(catalogue.APP / "templates").as_posix())
def test_templates__have_no_bare_words(path: Path) -> None:
    """Neither between tags, nor in what is read aloud or shown as a hint."""
    source = path.read_text(encoding="utf-8")
    source = re.sub(
        r"{%\s*blocktranslate.*?endblocktranslate\s*%}|{#.*?#}|{% block (?:bodyclass|coltype).*?endblock %}",
        " ",
        source,
        flags=re.S,
    )
    source = re.sub(r"{%.*?%}|{{.*?}}", " ", source, flags=re.S)
    spoken = " ".join(re.findall(r'(?:aria-label|title|alt|placeholder|data-label)="([^"]*)"', source))
    text = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>|&\w+;|&#\d+;", " ", source, flags=re.S)

    assert set(re.findall(r"[A-Za-z]{2,}\d*", f"{text} {spoken}")) - NAMES == set()


#: Arguments and names whose texts people read.
SPOKEN = {"description", "verbose_name", "verbose_name_plural", "help_text", "search_help_text", "title", "label"}


@pytest.mark.parametrize(
    "path",
    [*sorted((catalogue.APP / "admin").rglob("*.py")), *sorted((catalogue.APP / "models").rglob("*.py"))],
    ids=lambda path: path.relative_to(catalogue.APP).as_posix(),
)
def test_code__has_no_bare_words(path: Path) -> None:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        named: list[tuple[str, ast.expr | None]] = []
        if isinstance(node, ast.Call):
            named = [(word.arg or "", word.value) for word in node.keywords]
        elif isinstance(node, ast.Assign):
            named = [(getattr(target, "id", ""), node.value) for target in node.targets]
        elif isinstance(node, ast.AnnAssign):
            named = [(getattr(node.target, "id", ""), node.value)]
        for name, value in named:
            is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
            if name in SPOKEN and is_text and re.search("[A-Za-z]{2}", value.value):  # type: ignore[union-attr]
                found.append((name, value.value))  # type: ignore[union-attr]

    assert found == []
