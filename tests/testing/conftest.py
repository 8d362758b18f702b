"""A clean slate for each test."""

import pytest
from django.db import connections

from . import kit


@pytest.fixture(autouse=True)
def _clean() -> None:
    kit.SEEN.clear()
    kit.LEDGER.clear()
    kit.REFUSED.clear()
    # As in a host's process that has touched no database: tests of other directories may have left one open.
    connections.close_all()
