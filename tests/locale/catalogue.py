"""What is to be translated, and what is: read from the sources and from the catalogues, without GNU gettext.

python -m tests.locale.catalogue            what lacks a language, and what nobody asks for any more
python -m tests.locale.catalogue --missing  only the texts without a translation, one a line
"""

from __future__ import annotations

import ast
import gettext
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation.template import templatize

import sagas

APP = Path(sagas.__file__).parent
LOCALES = APP / "locale"
#: Calls by name, and how many texts each takes, the first of them with what it depends on.
CALLS = {"_": 1, "gettext": 1, "gettext_lazy": 1, "gettext_noop": 1, "ngettext": 2, "ngettext_lazy": 2}
CALLS_IN_CONTEXT = {"pgettext": 1, "pgettext_lazy": 1, "npgettext": 2, "npgettext_lazy": 2}
#: `%(name)s`, `%(count)d`, `%%`, `{name}`, `{}`
PLACEHOLDER = re.compile(r"%\(\w+\)[-\d.]*[a-z]|%%|\{\w*\}")


@dataclass(frozen=True, slots=True, order=True)
class Text:
    """One text to be translated."""

    singular: str
    plural: str = ""
    context: str = ""

    @property
    def placeholders(self) -> list[str]:
        """What is put into it."""
        return sorted(PLACEHOLDER.findall(self.plural or self.singular))


@dataclass(slots=True)
class Entry:
    """One entry of a catalogue: a text, and what it is in a language."""

    text: Text
    forms: list[str]
    fuzzy: bool = False


# -- what the sources ask for


def wanted() -> set[Text]:
    """Every text of the app's code and templates."""
    return {text for _path, text in found()}


def found() -> Iterator[tuple[Path, Text]]:
    """With the file that has it."""
    for path in sorted(APP.rglob("*.py")):
        if "migrations" not in path.parts:
            yield from ((path, text) for text in in_code(path.read_text(encoding="utf-8")))
    for path in sorted(APP.rglob("*.html")):
        yield from ((path, text) for text in in_template(path.read_text(encoding="utf-8")))


def in_code(source: str) -> Iterator[Text]:
    """The literal texts that are given to gettext."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield from _of_call(node)


def _of_call(node: ast.Call) -> Iterator[Text]:
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    context = name in CALLS_IN_CONTEXT
    count = CALLS.get(name, 0) or CALLS_IN_CONTEXT.get(name, 0)
    words = [arg.value for arg in node.args[: count + context] if isinstance(arg, ast.Constant)]
    if not count or len(words) != count + context:
        return
    texts = [str(word) for word in words]
    first = texts.pop(0) if context else ""
    yield Text(texts[0], texts[1] if count == 2 else "", first)


#: What `templatize` makes of the tags: `gettext(u'…')`, `ngettext(u'…', u'…', count)`, `pgettext(u'context', u'…')`.
_CALL = re.compile(r"\b(n?p?gettext|_)\((?=u?['\"])")
_STRING = re.compile(r"""u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')(?:, )?""", re.S)


def in_template(source: str) -> Iterator[Text]:
    """The texts of `translate` and `blocktranslate`."""
    made = templatize(source)
    for call in _CALL.finditer(made):
        texts, place = [], call.end()
        while string := _STRING.match(made, place):
            texts.append(ast.literal_eval(string[1]))
            place = string.end()
        context = texts.pop(0) if "pgettext" in call[1] else ""
        yield Text(texts[0], texts[1] if call[1].startswith("n") else "", context)


# -- what a catalogue has


def languages() -> list[str]:
    """Those that the app is translated into."""
    return sorted(path.name for path in LOCALES.iterdir() if path.is_dir())


def path_of(language: str, suffix: str = "po") -> Path:
    """The catalogue of a language."""
    return LOCALES / language / "LC_MESSAGES" / f"django.{suffix}"


def entries(language: str) -> list[Entry]:
    """All of them but the head; those that are commented out are not read."""
    return list(read(path_of(language).read_text(encoding="utf-8")))


def read(po: str) -> Iterator[Entry]:
    """The entries of a .po file."""
    for block in re.split(r"\n\s*\n", po):
        fields: dict[str, str] = {}
        key = ""
        for line in block.splitlines():
            keyword = re.match(r'(msg\w+(?:\[\d+\])?)\s+(?=")', line)
            if keyword:
                key, line = keyword[1], line[keyword.end() :]
                fields[key] = ""
            if key and line.startswith('"'):
                fields[key] += ast.literal_eval(line)
        if fields.get("msgid"):
            text = Text(fields["msgid"], fields.get("msgid_plural", ""), fields.get("msgctxt", ""))
            yield Entry(text, _forms(fields), bool(re.search(r"^#,.*\bfuzzy\b", block, re.M)))


def _forms(fields: dict[str, str]) -> list[str]:
    return [value for key, value in sorted(fields.items()) if key.startswith("msgstr")]


def compiled(language: str) -> dict[object, str]:
    """What the .mo file says, as Python reads it."""
    with path_of(language, "mo").open("rb") as file:
        # Typeshed does not know it; every translation of the standard library has it.
        return dict(gettext.GNUTranslations(file)._catalog)  # type: ignore[attr-defined]


def missing(language: str) -> list[Text]:
    """What is asked for and not translated, or only by a guess of `msgmerge`."""
    there = {entry.text for entry in entries(language) if all(entry.forms) and not entry.fuzzy}
    return sorted(wanted() - there)


def surplus(language: str) -> list[Text]:
    """What nobody asks for."""
    return sorted({entry.text for entry in entries(language)} - wanted())


def main(arguments: list[str]) -> int:
    """See the module."""
    if not settings.configured:
        settings.configure()
    lacks = 0
    for language in languages():
        gone = [] if "--missing" in arguments else surplus(language)
        for text in missing(language):
            lacks += 1
            sys.stdout.write(f"{language} lacks     {_shown(text)}\n")
        for text in gone:
            sys.stdout.write(f"{language} not asked {_shown(text)}\n")
    return 1 if lacks else 0


def _shown(text: Text) -> str:
    plural = f" || {text.plural!r}" if text.plural else ""
    return f"{text.singular!r}{plural}" + (f" [{text.context}]" if text.context else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
