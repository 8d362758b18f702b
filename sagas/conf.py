"""Settings: one `SAGAS` dict, read into typed values. Checked by `manage.py check` (see `sagas.checks`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from .core.errors import DefinitionError
from .core.redaction import read_rules
from .core.retry import RetryPolicy
from .core.verbs import ALL, PERMISSIONS

_SENSITIVE = (
    "password", "passwd", "passphrase", "pin", "secret", "secret_key", "private_key", "api_key", "access_key", "token",
    "authorization", "cookie", "credential", "session_id", "card_number", "card.number", "pan", "cvv", "cvc", "iban",
    "ssn",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AppSettings:
    """Every setting with its default. Durations are timedeltas; a number is taken as seconds."""

    #: `amqp://user:password@host:port/vhost`; None = no broker: workers find their work in the database alone.
    BROKER_URL: str | None = None
    #: How the worker's connections are called in the broker's management pages.
    CONNECTION_NAME: str = "sagas"
    #: The topic exchange that hints go through.
    EXCHANGE: str = "sagas"
    #: The queue of hints; participants' queues are called `<this>.<queue>`.
    STEP_QUEUE: str = "saga.steps"
    #: Hints about rollbacks, so that they do not wait behind new work.
    COMPENSATE_QUEUE: str = "saga.compensate"
    #: Where messages go that are no hints.
    DEAD_LETTER_EXCHANGE: str = "saga.dead-letter"
    #: The queue that keeps them.
    DEAD_LETTER_QUEUE: str = "saga.dead-letter"
    #: Dotted path of the store class.
    STORE: str = "sagas.store.orm.OrmStore"
    #: Alias of the database that holds the sagas.
    DATABASE: str = "default"
    #: No progress for this long flags a saga as stale.
    STALE_AFTER: timedelta = timedelta(hours=1)
    #: A debt (a failed compensation) to which nothing happens for this long is told again; None = it is told once.
    DEBT_REMINDER: timedelta | None = timedelta(days=1)
    #: The counts on the admin's overview are brought up to date this often.
    ROLLUP_EVERY: timedelta = timedelta(seconds=10)
    #: Attempts of an action, unless the action or the step says otherwise: a RetryPolicy or a dict of its fields.
    DEFAULT_RETRY: RetryPolicy = field(default_factory=RetryPolicy)
    #: The same for compensations.
    DEFAULT_COMPENSATION_RETRY: RetryPolicy = field(default_factory=RetryPolicy)
    #: One attempt may take this long.
    DEFAULT_TIMEOUT: timedelta = timedelta(seconds=60)
    #: Worker processes (`--processes`).
    PROCESSES: int = 1
    #: Handler threads in each (`--threads`).
    THREADS: int = 8
    #: Hints that the broker may hand to one process before it answers (`--prefetch`).
    PREFETCH: int = 200
    #: How long a stopping worker waits for running handlers.
    GRACE: timedelta = timedelta(seconds=30)
    #: A process whose beat stands still for this long is dead.
    LEASE: timedelta = timedelta(seconds=15)
    #: Between two looks at the database for due work, with a broker.
    SWEEP_EVERY: timedelta = timedelta(seconds=1)
    #: The same without a broker, or while it is gone.
    POLL_EVERY: timedelta = timedelta(milliseconds=100)
    #: A saga whose hint was lost is found by the sweep after this time.
    HINT_GRACE: timedelta = timedelta(seconds=2)
    #: A handler thread stuck for this long past its timeout ends its process.
    STUCK_AFTER: timedelta = timedelta(seconds=60)
    #: Largest context (and input of a step), in bytes of JSON.
    MAX_CONTEXT: int = 256 * 1024
    #: Largest output of a step, in bytes of JSON.
    MAX_OUTPUT: int = 64 * 1024
    #: Names of keys whose values are shown to nobody: in the admin only to who may reveal them, over REST never. A key
    #: matches when it ends in one: `token` hides `access_token`. Definitions name more (`sensitive`).
    SENSITIVE: tuple[str, ...] = _SENSITIVE
    #: Who may do what to the sagas of a definition, beside having the verb's permission: `{"order_processing":
    #: {"compensate": ["finance"]}}`, names of groups or permissions; `"*"` = all definitions, or all verbs.
    OPERATORS: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    #: Dotted path of the class that the admin's pages are built on, if another theme brings its own `ModelAdmin`.
    ADMIN_BASE: str = "django.contrib.admin.ModelAdmin"
    #: For tests: `name:n` kills the process at the n-th passage of the crash point `name` (see `sagas/crash.py`).
    CRASH_AT: str = ""


#: The longest duration of any setting: added to a date, it is still a date.
LONGEST = timedelta(days=36500)

#: Settings that None turns off.
_MAY_BE_NONE = ("BROKER_URL", "DEBT_REMINDER")

#: What stands in for an unusable value where the default would let more happen than was meant: nobody may anything.
_CLOSED: Mapping[str, Any] = {"OPERATORS": {ALL: {ALL: ()}}}

_FIELDS = {f.name: f for f in fields(AppSettings)}


def default(name: str) -> Any:
    """The default of one setting."""
    spec = _FIELDS[name]
    return spec.default_factory() if spec.default_factory is not MISSING else spec.default


def read(raw: object) -> tuple[dict[str, Any], list[str]]:
    """The usable values of a `SAGAS` dict, and one sentence for each that is not."""
    if not isinstance(raw, Mapping):
        return {}, [f"SAGAS: expected a dict, got {type(raw).__name__}"]
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in raw.items():
        if name not in _FIELDS:
            problems.append(f"SAGAS: unknown setting {name!r}; known: {', '.join(_FIELDS)}")
            continue
        try:
            values[name] = _convert(name, value)
        except (ValueError, TypeError, DefinitionError) as exc:
            problems.append(f"SAGAS[{name!r}]: {exc}")
            values |= {name: _CLOSED[name]} if name in _CLOSED else {}
    return values, problems


def _convert(name: str, value: Any) -> Any:
    expected = default(name)
    if value is None and name in _MAY_BE_NONE:
        return None
    read_it = _READERS.get(type(expected))
    if read_it is not None:
        return read_it(value)
    if isinstance(expected, int):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"expected a whole number of 1 or more, got {value!r}")
        return value
    if not isinstance(value, str) or (not value and name not in ("CRASH_AT", "BROKER_URL")):
        raise ValueError(f"expected text, got {value!r}")
    return value or (None if name == "BROKER_URL" else value)


def _names(value: Any) -> tuple[str, ...]:
    # From the environment they come as one text.
    names = [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value
    read_rules("SENSITIVE", names)
    return tuple(names)


def _operators(value: Any) -> dict[str, dict[str, tuple[str, ...]]]:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected a dict of definitions, got {value!r:.80}")
    return {_name(name): _limits(name, verbs) for name, verbs in value.items()}


def _limits(name: str, verbs: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(verbs, Mapping):
        raise ValueError(f"{name}: expected a dict of verbs, got {verbs!r:.80}")
    unknown = [verb for verb in verbs if verb != ALL and verb not in PERMISSIONS]
    if unknown:
        raise ValueError(f"{name}: expected verbs ({', '.join(PERMISSIONS)}) or {ALL!r}, got {unknown[0]!r:.80}")
    return {verb: _wanted(f"{name}: {verb}", names) for verb, names in verbs.items()}


def _wanted(what: str, names: Any) -> tuple[str, ...]:
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, (list, tuple, set, frozenset)) or not all(isinstance(n, str) and n for n in listed):
        raise ValueError(f"{what}: expected names of groups or permissions, got {names!r:.80}")
    return tuple(listed)


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError(f"expected names of definitions, got {name!r:.80}")
    return name


def _duration(value: Any) -> timedelta:
    if isinstance(value, bool) or not isinstance(value, (int, float, timedelta)):
        raise ValueError(f"expected a timedelta or a number of seconds, got {value!r}")
    try:
        found = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except (ValueError, OverflowError):  # not a number, or more than all time
        found = timedelta(0)
    if not timedelta(0) < found <= LONGEST:
        raise ValueError(f"expected a positive duration of at most {LONGEST.days} days, got {value!r}")
    return found


def _policy(value: Any) -> RetryPolicy:
    if isinstance(value, RetryPolicy):
        return value
    if isinstance(value, Mapping):
        return RetryPolicy(**value)
    raise ValueError(f"expected a RetryPolicy or a dict of its fields, got {value!r}")


_READERS: Mapping[type, Callable[[Any], Any]] = {
    timedelta: _duration,
    RetryPolicy: _policy,
    tuple: _names,
    dict: _operators,
}


@lru_cache(maxsize=1)
def app_settings() -> AppSettings:
    """The settings as they are now. Values that are not usable are replaced by defaults; the checks report them."""
    values, _ = read(getattr(settings, "SAGAS", {}))
    return AppSettings(**values)


def find_admin_base(path: str) -> type:
    """The class at a dotted path; ValueError when there is none, or it is no `ModelAdmin`."""
    from django.contrib.admin import ModelAdmin

    problem = "it is no subclass of ModelAdmin"
    try:
        found = import_string(path)
    except ImportError as exc:
        found, problem = None, str(exc)
    if not isinstance(found, type) or not issubclass(found, ModelAdmin):
        raise ValueError(f"expected the dotted path of a ModelAdmin, got {path!r}: {problem}")
    return found


def admin_base() -> type:
    """What the admin's pages are built on; Django's own where the setting is not usable (the checks report it)."""
    try:
        return find_admin_base(app_settings().ADMIN_BASE)
    except ValueError:
        return find_admin_base(default("ADMIN_BASE"))


def _reset(*, setting: str, **kwargs: Any) -> None:
    if setting == "SAGAS":
        app_settings.cache_clear()


setting_changed.connect(_reset, dispatch_uid="sagas.conf")
