"""The form from which a saga is started: its context key by key, what belongs to the saga, and why."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.contrib.admin.sites import AdminSite
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.forms import BoundField
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from ..definitions.definition import SagaDefinition
from ..definitions.ids import id_text, new_id
from ..definitions.sensitive import shown
from ..engine.by_hand import completed
from ..engine.restart import RESTART_OF
from ..engine.start import MAX_KEY, MAX_OWNER
from ..exceptions import PayloadError
from ..models import Saga
from .cells import whole
from .forms import JsonField, ReasonForm
from .slots import BLANK, Slot, is_open, slots
from .told import told

logger = logging.getLogger(__name__)

_TEXT = {"class": "vTextField"}
_YES_NO = {True: "yes", False: "no"}


class StartForm(ReasonForm):
    """What a saga of one definition is started with."""

    other = JsonField(required=False, only_object=True)
    owner = forms.CharField(
        label=_("Owner"),
        required=False,
        max_length=MAX_OWNER,
        help_text=_("Whose saga it is: they find it over REST under this name."),
        widget=forms.TextInput(attrs=_TEXT),
    )
    subject_kind = forms.ChoiceField(label=_("Subject: what it is about"), required=False)
    subject_id = forms.CharField(
        label=_("Subject: its primary key"), required=False, max_length=255, widget=forms.TextInput(attrs=_TEXT)
    )
    tags = forms.CharField(
        label=pgettext_lazy("of a saga", "Tags"),
        required=False,
        max_length=4096,
        help_text=_("With commas between them."),
        widget=forms.TextInput(attrs=_TEXT),
    )
    priority = forms.IntegerField(
        label=_("Priority"),
        initial=0,
        min_value=-100,
        max_value=100,
        help_text=_("From -100 to 100: where more is due than workers can take, the higher goes first."),
    )
    rollback = forms.ChoiceField(
        label=_("On failure"),
        required=False,
        choices=[
            ("", _("as the definition says")),
            (_YES_NO[True], _("roll back")),
            (_YES_NO[False], _("stop, undo nothing")),
        ],
    )
    idempotency_key = forms.CharField(
        label=_("Idempotency key"),
        max_length=MAX_KEY,
        help_text=_("However often this form is sent, under one key only one saga is started."),
        widget=forms.TextInput(attrs={**_TEXT, "spellcheck": "false", "autocomplete": "off"}),
    )

    def __init__(
        self,
        definition: type[SagaDefinition],
        request: HttpRequest,
        site: AdminSite,
        *,
        data: QueryDict | None = None,
        like: Saga | None = None,
        as_json: bool = False,
    ) -> None:
        self._definition, self._request, self._site, self._like = definition, request, site, like
        typed = definition.typed_context()
        schema = {} if typed is None or as_json else typed.schema()
        self._slots: list[Slot] = list(slots(schema))
        super().__init__(data, initial=self._known() if data is None else None)
        for slot in self._slots:
            self.fields[slot.name] = slot.field
        self._shape_other(is_open(schema))
        kind: Any = self.fields["subject_kind"]
        kind.choices = [("", "---------"), *self._kinds()]
        _widen(self)

    def _shape_other(self, more: bool) -> None:
        """Alone it is the whole context; behind fields, the keys that have none."""
        other = self.fields["other"]
        other.label = _("Other keys") if self._slots else _("Context")
        other.help_text = _("A JSON object. Empty: none.")
        if self._slots and not more and not (self.data or self.initial).get("other"):
            del self.fields["other"]

    # -- what it begins with ------------------------------------------------------------------------------------------

    def _known(self) -> dict[str, Any]:
        """What a new saga begins with; like another one: what that one was started with, or has by now."""
        known: dict[str, Any] = {"idempotency_key": f"admin-{id_text(new_id())}"}
        like = self._like
        if like is None:
            return {**known, "owner": self._request.user.get_username()}
        tags = [str(tag) for tag in like.tags if not str(tag).startswith(RESTART_OF)]
        model = None if like.subject_type is None else like.subject_type.model_class()
        if model is not None:
            known |= {"subject_kind": model._meta.label_lower, "subject_id": like.subject_id}
        context = shown(like.context, like.name)
        return {
            **known,
            **self._filled(context),
            "owner": like.owner,
            "tags": ", ".join(tags),
            "priority": like.priority,
            "rollback": "" if like.rollback == self._definition.rollback else _YES_NO[like.rollback],
        }

    def _filled(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """A context in its fields; what fits into none stays JSON."""
        found, rest = {}, dict(context)
        for slot in self._slots:
            try:
                found[slot.name] = slot.to_form(context[slot.key])
            except (KeyError, TypeError, ValueError):
                found[slot.name] = None
            else:
                del rest[slot.key]
        return {**found, **({"other": whole(rest)} if rest else {})}

    # -- what was typed -----------------------------------------------------------------------------------------------

    def clean(self) -> dict[str, Any]:
        """The context, held against the definition's model; and the subject."""
        found: dict[str, Any] = super().clean() or self.cleaned_data
        found["subject"] = self._subject(found)
        if not self.errors:
            found["context"] = self._context(found)
        return found

    def _context(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        given = dict(self._given(found))
        other = found.get("other") or {}
        twice = sorted(given.keys() & other.keys())
        if twice:
            text = gettext("These have fields of their own: %(names)s")
            self.add_error("other", text % {"names": ", ".join(twice)})
        try:
            context = completed({**other, **given}, self._like)
        except PayloadError as exc:
            self.add_error(None, told(exc.message))
            return {}
        self._ask_model(context)
        return context

    def _given(self, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for slot in self._slots:
            value = found.get(slot.name)
            if value not in BLANK:
                yield slot.key, slot.to_json(value)
            elif slot.null:
                yield slot.key, None

    def _ask_model(self, context: Mapping[str, Any]) -> None:
        """Each complaint beside the field that it is about."""
        typed = self._definition.typed_context()
        if typed is None:
            return
        try:
            problems = typed.problems(context)
        except Exception as exc:  # the definition's own code
            logger.warning("context model of %s raised", self._definition.name, exc_info=True)
            text = gettext("The definition's model could not look at this context: %(error)s")
            self.add_error(None, text % {"error": f"{type(exc).__name__}: {exc}"})
            return
        for problem in problems:
            name = f"context-{problem.path[0]}" if problem.path else ""
            own = name in self.fields
            said = str(problem) if not own or len(problem.path) > 1 else problem.message
            self.add_error(name if own else "other" if "other" in self.fields else None, said)

    def _subject(self, found: Mapping[str, Any]) -> Model | None:
        kind, key = found.get("subject_kind"), found.get("subject_id")
        if not kind and not key:
            return None
        if not kind or not key:
            self.add_error("subject_id" if kind else "subject_kind", gettext("A subject has a kind and a primary key."))
            return None
        app_label, model_name = str(kind).split(".")
        model: Any = ContentType.objects.get_by_natural_key(app_label, model_name).model_class()
        subject: Model | None = self._site.get_model_admin(model).get_object(self._request, str(key))
        if subject is None:
            self.add_error("subject_id", gettext("There is no such object."))
        return subject

    def _kinds(self) -> Iterator[tuple[str, str]]:
        """What the user may see in this admin. Sagas are about something else."""
        for model in sorted(self._site._registry, key=lambda model: model._meta.label):
            own = model._meta.app_label == Saga._meta.app_label
            if not own and self._site.get_model_admin(model).has_view_or_change_permission(self._request):
                yield model._meta.label_lower, f"{model._meta.app_config.verbose_name}: {model._meta.verbose_name}"

    # -- for the engine, and for the page -----------------------------------------------------------------------------

    @property
    def has_fields(self) -> bool:
        """Whether the context is typed key by key."""
        return bool(self._slots)

    def options(self) -> dict[str, Any]:
        """For `start_by_hand`."""
        found = self.cleaned_data
        tags = [tag.strip() for tag in found["tags"].split(",") if tag.strip()]
        names = ("context", "subject", "owner", "priority", "idempotency_key", "reason")
        rollback = {"": None, **{word: value for value, word in _YES_NO.items()}}[found["rollback"]]
        return {**{name: found[name] for name in names}, "tags": tags, "rollback": rollback}

    def refuse(self, message: str) -> None:
        """What the engine has found wrong, beside the field that it begins with."""
        words = {"owner": "owner", "tags": "tags", "priority": "priority", "idempotency key": "idempotency_key"}
        field = next((name for word, name in words.items() if message.startswith(f"{word}:")), None)
        self.add_error(field, told(message))

    def groups(self) -> list[tuple[str, Sequence[BoundField]]]:
        """The fields under their headings."""
        context = [slot.name for slot in self._slots] + ["other"]
        saga = ["owner", "subject_kind", "subject_id", "tags", "priority", "rollback", "idempotency_key"]
        parts = ((gettext("Context"), context), (gettext("Saga"), saga), ("", ["reason"]))
        return [(title, [self[name] for name in names if name in self.fields]) for title, names in parts]


def _widen(form: forms.Form) -> None:
    """Text with line ends is not squeezed into one line, which would swallow them."""
    for name, field in form.fields.items():
        value = form[name].value()
        if type(field.widget) is forms.TextInput and isinstance(value, str) and "\n" in value:
            field.widget = forms.Textarea(attrs={"rows": 3})
