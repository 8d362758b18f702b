"""The session's servers and the private ones: what the fixtures promise."""

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from tests.services import names, rabbitmq


@pytest.mark.django_db
def test_database__is_the_sessions_own_postgresql_in_utf8():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_database(), current_setting('server_encoding')")
        name, encoding = cursor.fetchone()

    assert connection.vendor == "postgresql"
    assert name.startswith("test_sagastest_")
    assert encoding == "UTF8"


def test_database_url__is_the_test_database_for_other_processes(database_url):
    with psycopg.connect(database_url) as other:
        tables = {row[0] for row in other.execute("SELECT tablename FROM pg_tables")}

    assert "orders_order" in tables


def test_new_database__is_empty_and_apart(new_database):
    first, second = new_database(), new_database()

    with psycopg.connect(first, autocommit=True) as one:
        one.execute("CREATE TABLE mine (id int)")
    with psycopg.connect(second) as other:
        assert other.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'mine'").fetchone() == (0,)


def test_broker_url__is_usable_and_a_corner_of_our_own(broker_url):
    assert rabbitmq.refusal(broker_url) == ""
    assert broker_url == settings.BROKER_URL
    # in a vhost, or where none can be made in its names
    assert names.PREFIX in broker_url or names.PREFIX in settings.SAGAS["STEP_QUEUE"]


def test_new_vhost__is_usable_and_another_one(new_vhost, broker_url):
    made = new_vhost()

    assert made != broker_url
    assert rabbitmq.refusal(made) == ""


@pytest.mark.parametrize("mode", ["fast", "immediate", "kill"])
def test_private_postgres__keeps_committed_rows_through_a_restart(private_postgres, mode):
    url = private_postgres.create_database()
    with psycopg.connect(url) as before:
        before.execute("CREATE TABLE kept (id int)")

    private_postgres.restart(mode)

    with psycopg.connect(url) as after:
        assert after.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_private_postgres__frozen_does_not_answer_until_thawed(private_postgres):
    url = private_postgres.create_database()
    private_postgres.freeze()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2)

    private_postgres.thaw()

    psycopg.connect(url, connect_timeout=10).close()


def test_private_postgres__wiped_has_forgotten_everything(private_postgres):
    url = private_postgres.create_database()

    private_postgres.wipe()

    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


def test_private_postgres__stopped_by_a_test_runs_in_the_next(private_postgres):
    private_postgres.stop()
    private_postgres.heal()

    psycopg.connect(private_postgres.url).close()


@pytest.mark.parametrize("mode", ["stop", "kill", "app"])
def test_private_rabbitmq__keeps_its_vhosts_through_a_restart(private_rabbitmq, mode):
    url = private_rabbitmq.create_vhost()

    private_rabbitmq.restart(mode)

    assert rabbitmq.refusal(url) == ""


def test_private_rabbitmq__frozen_does_not_answer_until_thawed(private_rabbitmq):
    private_rabbitmq.freeze()
    assert "Timeout" in rabbitmq.refusal(private_rabbitmq.url)

    private_rabbitmq.thaw()

    assert rabbitmq.refusal(private_rabbitmq.url) == ""


def test_private_rabbitmq__wiped_has_forgotten_everything(private_rabbitmq):
    url = private_rabbitmq.create_vhost()

    private_rabbitmq.wipe()

    assert "not found" in rabbitmq.refusal(url)
    assert rabbitmq.refusal(private_rabbitmq.url) == ""
