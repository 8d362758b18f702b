"""The admin's clients; and no language that outlives its test."""

from collections.abc import Iterator

import pytest
from django.utils import translation

from tests.admin.conftest import client_of, operator

__all__ = ["client_of", "operator"]


@pytest.fixture(autouse=True)
def _language() -> Iterator[None]:
    """Django's middleware leaves the language of the last request in the thread."""
    with translation.override(translation.get_language()):
        yield
