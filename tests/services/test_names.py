"""Whose a name is: what is removed must be ours and left over."""

import os
import subprocess
import time

import pytest

from tests.services import names


@pytest.fixture
def ended_process() -> int:
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def test_is_leftover__not_while_its_process_lives():
    assert not names.is_leftover(names.new_stamp())
    assert not names.is_leftover(f"test_{names.new_stamp()}_gw3")


def test_is_leftover__when_its_process_has_ended(ended_process):
    stamp = names.new_stamp(pid=ended_process)

    assert names.is_leftover(stamp)
    assert names.is_leftover(f"test_{stamp}_gw0")
    assert names.is_leftover(f"{stamp}-postgres-x7y")


@pytest.mark.parametrize("name", ["postgres", "test_shop", "sagastest", "sagastest_production", "my_sagastest_1"])
def test_is_leftover__never_what_others_named(name):
    assert not names.is_leftover(name)


def test_is_leftover__of_another_machine_only_after_a_day(ended_process, monkeypatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(names.socket, "gethostname", lambda: "elsewhere")
        foreign = names.new_stamp(pid=ended_process)

    assert not names.is_leftover(foreign)
    assert names.is_leftover(foreign, now=time.time() + names.FOREIGN_AFTER + 60)


def test_new_stamp__fits_a_database_name_with_what_django_and_xdist_add():
    assert len(f"test_{names.new_stamp(pid=4_194_304)}_gw99") <= 63
    assert str(os.getpid()) in names.new_stamp()
