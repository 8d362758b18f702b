"""`manage.py demo`: orders through real HTTP, real processes, books that balance, and sabotage that is found."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COUNT = 60


class Demo:
    """One place to run the demo in."""

    def __init__(self, files: Path, **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SAGAS_")}
        self.files = files
        self._environment = kept | {"VAR_DIR": str(files)} | environment

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            [sys.executable, "manage.py", "demo", *options],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )

    def must_work(self) -> None:
        """Every order ends, and the last line says so."""
        done = self.run("--orders", str(COUNT))

        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        last = done.stdout.strip().splitlines()[-1]
        found = re.fullmatch(
            rf"demo ok: {COUNT} orders, (\d+) completed, (\d+) compensated, 0 lost; stock, money and parcels balance",
            last,
        )
        assert found, last
        assert int(found[1]) + int(found[2]) == COUNT
        assert int(found[2]) > 5, "an order that is rolled back belongs to it"


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Demo:
    return Demo(tmp_path, DATABASE_URL="", BROKER_URL="")


def test_demo__works_twice_and_finds_sabotage(on_sqlite: Demo) -> None:
    on_sqlite.must_work()
    on_sqlite.must_work()

    for book, statement in {
        "parcels": "DELETE FROM shipping_parcel WHERE id = (SELECT max(id) FROM shipping_parcel)",
        "money": "INSERT INTO payments_charge (key, saga, order_id, card, amount, currency, created_at) "
        "SELECT key || ' again', saga, order_id, card, amount, currency, created_at FROM payments_charge "
        "WHERE id NOT IN (SELECT charge_id FROM payments_refund) ORDER BY id DESC LIMIT 1",
        "stock": "UPDATE inventory_stock SET on_hand = on_hand + 1 WHERE sku = (SELECT min(sku) FROM inventory_stock)",
    }.items():
        with sqlite3.connect(on_sqlite.files / "sagas.sqlite3") as connection:
            assert connection.execute(statement).rowcount == 1, book
        connection.close()

        done = on_sqlite.run("--reconcile-only")

        assert done.returncode != 0
        assert re.search(rf"does not balance: order .*: {book}: expected", done.stderr), (book, done.stderr)


def test_demo__works_on_real_services(
    tmp_path: Path, new_database: Callable[[], str], new_vhost: Callable[[], str]
) -> None:
    Demo(tmp_path, DATABASE_URL=new_database(), BROKER_URL=new_vhost()).must_work()


def test_demo__says_in_one_sentence_that_the_database_is_down(tmp_path: Path, free_port: int) -> None:
    done = Demo(tmp_path, DATABASE_URL=f"postgres://nobody@127.0.0.1:{free_port}/none", BROKER_URL="").run()

    assert done.returncode != 0
    assert "The database that DATABASE_URL names does not let us in" in done.stderr
    assert "Traceback" not in done.stderr


def test_demo__says_in_one_sentence_that_the_broker_is_down(tmp_path: Path, free_port: int) -> None:
    done = Demo(tmp_path, DATABASE_URL="", BROKER_URL=f"amqp://guest:guest@127.0.0.1:{free_port}/").run()

    assert done.returncode != 0
    assert f"The broker that BROKER_URL names (127.0.0.1:{free_port}, vhost /) does not let us in" in done.stderr
    assert "Traceback" not in done.stderr
