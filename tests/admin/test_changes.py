"""What history entries say in words. They are read from rows of any age: nothing in them may raise."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sagas.admin.changes import sentences

NAMES = ["create_order", "charge_payment"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    [
        "status",
        "hold",
        "due_at",
        "doubt",
        "round",
        "crashes",
        "waits",
        "approved_by",
        "owner",
        "error_code",
        "tries",
        "new",
    ]
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "state": JSON,
        "attention": JSON,
        "stale_since": JSON,
        "paused_at": JSON,
        "error_code": JSON,
        "rewind_to": JSON,
        "overdue_at": JSON,
        "deadline_at": JSON,
        "steps": JSON
        | st.dictionaries(st.sampled_from(["0", "1", "9", "x"]), st.dictionaries(FIELDS, JSON), max_size=3),
    },
)


@given(data=JSON | ENTRY)
def test_sentences__never_raise(data: Any) -> None:
    assert all(isinstance(text, str) for text in sentences(data, NAMES))


def test_sentences__status_first_then_why() -> None:
    changed = {
        "steps": {
            "1": {
                "due_at": "2026-11-21T01:26:20+00:00",
                "doubt": True,
                "claim_token": None,
                "tries": 1,
                "status": "pending",
                "error_code": "TimeoutError",
            }
        }
    }

    assert sentences(changed, NAMES) == [
        "charge_payment: pending, in doubt, next attempt at 2026-11-21 01:26:20, error TimeoutError"
    ]


def test_sentences__what_is_over() -> None:
    changed = {"attention": "", "stale_since": None, "paused_at": None, "error_code": "", "completed_at": None}

    assert sentences(changed, NAMES) == ["needs no attention any more", "not stale any more", "resumed"]
    assert sentences({"steps": {"0": {"hold": "", "doubt": False, "due_at": None, "crashes": 0}}}, NAMES) == [
        "create_order: not held any more, not in doubt any more"
    ]
