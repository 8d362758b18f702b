"""Text from the environment: what it means, and what is said when it means nothing."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ImproperlyConfigured

from sagaproject import environment


def test_database__sqlite_takes_its_write_lock_at_begin_and_waits():
    found = environment.database("sqlite:////somewhere/file.sqlite3")

    assert found["ENGINE"] == "django.db.backends.sqlite3"
    assert found["NAME"] == "/somewhere/file.sqlite3"
    assert found["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "WAL" in found["OPTIONS"]["init_command"]


def test_database__postgresql_ends_transactions_that_idle_for_ever__unless_the_url_says_otherwise():
    own = environment.database("postgres://me:secret@db/shop?options=-c%20statement_timeout%3D5s")

    assert environment.database("postgres://me:secret@db/shop")["OPTIONS"] == {
        "options": "-c idle_in_transaction_session_timeout=60s"
    }
    assert own["OPTIONS"] == {"options": "-c statement_timeout=5s"}


def test_database__postgresql_tests_are_in_utf8_from_template0():
    found = environment.database("postgres://me:secret@db:5433/shop?sslmode=require")

    assert (found["HOST"], found["PORT"], found["NAME"]) == ("db", 5433, "shop")
    assert found["OPTIONS"]["sslmode"] == "require"
    assert found["TEST"] == {"TEMPLATE": "template0", "CHARSET": "UTF8"}


@pytest.mark.parametrize(
    "url",
    [
        "shop",
        "mysql://me:secret@db/shop",
        "nosuch://me:secret@db/shop",
        "postgres://me:secret@db:port/x",
        "postgres://",
    ],
)
def test_database__anything_else_is_one_sentence_without_the_password(url):
    with pytest.raises(ImproperlyConfigured, match="expected postgres://") as caught:
        environment.database(url)

    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_broker__an_empty_url_means_none():
    assert environment.broker("") is None


def test_broker__amqp_is_taken_as_it_is():
    assert environment.broker("amqps://me:secret@mq:5671/shop") == "amqps://me:secret@mq:5671/shop"


@pytest.mark.parametrize("url", ["localhost", "redis://me:secret@mq", "amqp://me:secret@:5672/", "amqp://mq:port/"])
def test_broker__anything_else_is_one_sentence_without_the_password(url):
    with pytest.raises(ImproperlyConfigured, match="expected amqp://") as caught:
        environment.broker(url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant"), [("1", True), ("True", True), ("on", True), ("0", False), ("no", False), ("", False)]
)
def test_flag__reads_the_usual_words(text, meant):
    assert environment.flag({"DEBUG": text}, "DEBUG") is meant


def test_flag__refuses_others():
    with pytest.raises(ImproperlyConfigured, match="expected 1 or 0"):
        environment.flag({"DEBUG": "maybe"}, "DEBUG")


def test_words__are_split_at_commas_and_trimmed():
    assert environment.words({"ALLOWED_HOSTS": " a.example, b.example ,"}, "ALLOWED_HOSTS") == [
        "a.example",
        "b.example",
    ]


def test_prefixed__reads_json_where_it_is_json():
    environ = {
        "SAGAS_PREFETCH": "50",
        "SAGAS_CRASH_AT": "after_claim:2",
        "SAGAS_EXCHANGE": "shop",
        "OTHER": "1",
    }

    found = environment.prefixed(environ, "SAGAS_")

    assert found == {"PREFETCH": 50, "CRASH_AT": "after_claim:2", "EXCHANGE": "shop"}


def test_kept_secret__is_one_for_all_processes_and_for_our_eyes_only(tmp_path):
    path = tmp_path / "var" / "secret_key"
    path.parent.mkdir()

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: environment.kept_secret(path), range(32)))

    assert found == {path.read_text()}
    assert len(path.read_text()) >= 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
