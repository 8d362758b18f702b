"""Who looks after what asks for a person, since when it does, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User

from sagas.engine.check import Finding, check
from sagas.engine.work import CAP, NOBODY, comments, counts, oldest, open_items, talks
from sagas.exceptions import PayloadError, TransitionNotAllowedError
from sagas.models import HistoryEntry, Saga, Step, WorkItem
from tests.admin import scenes
from tests.store.threads import at_once


def item(saga: Saga) -> WorkItem:
    found: WorkItem = WorkItem.objects.get(saga=saga, held_since__isnull=False)
    return found


def findings() -> list[Finding]:
    """What `saga_check` finds wrong: the history must tell what the rows say."""
    return [one for one in check() if isinstance(one, Finding)]


def held(saga: Saga) -> list[str]:
    return [one.name for one in open_items() if one.saga_id == saga.pk]


@pytest.mark.parametrize("made", [scenes.awaiting_approval, scenes.awaiting_undo, scenes.debt, scenes.late_effect])
def test_take_and_give_back__are_lines_of_history(made: Callable[[], Saga], db: None) -> None:
    saga = made()
    step, due = item(saga).name, item(saga).due_at

    taken = saga.take(step, actor="ann")
    again = saga.take(step, actor="ann")
    with pytest.raises(TransitionNotAllowedError, match=f"ann looks after step '{step}'"):
        saga.take(step, actor="bob")
    with pytest.raises(TransitionNotAllowedError, match=f"ann looks after step '{step}'"):
        saga.give_back(step, actor="bob")
    owner = item(saga).owner
    saga.give_back(step, actor="ann")

    assert (owner, item(saga).owner, item(saga).due_at) == ("ann", "", due)
    assert again.revision == taken.revision + 1
    entries = list(HistoryEntry.objects.filter(saga=saga, kind="assign").order_by("id"))
    assert [(entry.actor, entry.step) for entry in entries] == [("ann", step)] * 3
    assert [list(entry.data["steps"].values()) for entry in entries if entry.data] == [
        [{"owner": "ann"}],
        [{"owner": ""}],
    ]


def test_take__nobody_asks(db: None) -> None:
    saga = scenes.started()

    with pytest.raises(TransitionNotAllowedError, match="expected a step that asks for a person"):
        saga.take("create_order", actor="ann")
    with pytest.raises(PayloadError, match="expected who takes it"):
        scenes.debt().take("create_order", actor="")


def test_take__two_at_once__one_has_it_and_the_other_hears_who(transactional_db: None) -> None:
    sagas = [scenes.awaiting_approval() for _ in range(8)]

    def take(actor: str) -> list[str]:
        heard = []
        for saga in sagas:
            try:
                saga.take("charge", actor=actor)
                heard.append("")
            except TransitionNotAllowedError as exc:
                heard.append(exc.message)
        return heard

    ann, bob = at_once(lambda: take("ann"), lambda: take("bob"))

    for saga, to_ann, to_bob in zip(sagas, ann, bob, strict=True):
        owner = item(saga).owner
        assert (to_ann == "", to_bob == "") == (owner == "ann", owner == "bob")
        assert f"{owner} looks after step 'charge'" in to_ann + to_bob
        assert HistoryEntry.objects.filter(saga=saga, kind="assign").count() == 1


def test_assign__a_next_try_is_a_debts(db: None) -> None:
    saga, debt = scenes.awaiting_approval(), scenes.debt()
    at = saga.created_at + timedelta(hours=1)

    saga.assign("charge", owner="ann", expected_owner="")
    with pytest.raises(TransitionNotAllowedError, match="only a debt has a next try"):
        saga.assign("charge", owner="ann", next_try=at)
    with pytest.raises(TransitionNotAllowedError, match="ann looks after"):
        saga.assign("charge", owner="bob", expected_owner="")
    debt.assign("create_order", owner="ann", next_try=at)
    debt.take("create_order", actor="ann")

    assert item(debt).due_at == at


def test_owner__is_gone_with_the_work(db: None) -> None:
    approval, undo, debt = scenes.awaiting_approval(), scenes.awaiting_undo(people=2), scenes.debt()
    for saga in (approval, undo, debt):
        saga.take(item(saga).name, actor="ann")

    approval.approve("charge", actor="bob")
    undo.approve("charge", actor="ann")
    debt.resolve("create_order", done=True, reason="by hand", actor="ann")

    assert (held(approval), held(undo), held(debt)) == ([], ["charge"], [])
    assert item(undo).owner == "", "the other approval is somebody else's"
    assert not Step.objects.exclude(owner="").exists()


def test_owner__of_a_debt_that_is_tried_again(db: None) -> None:
    saga = scenes.debt()
    saga.take("create_order", actor="ann")

    saga.retry()

    assert held(saga) == []
    assert saga.steps.get(name="create_order").owner == "ann"


def test_held_since__is_that_of_the_hold_and_the_history_tells_it(db: None) -> None:
    saga = scenes.awaiting_undo(people=2)
    since = item(saga).held_since

    saga.take("charge", actor="ann")
    saga.approve("charge", actor="bob")
    same = item(saga).held_since
    assert findings() == []
    saga.approve("charge", actor="ann")

    assert since is not None
    assert same == since
    assert HistoryEntry.objects.filter(saga=saga, at=since, data__steps__has_key="1").exists()
    assert not WorkItem.objects.filter(saga=saga, held_since__isnull=False).exists()
    assert findings() == []


def test_held_since__not_for_what_heals_by_itself(db: None) -> None:
    assert held(scenes.without_handler()) == []


def test_open_items__filters(db: None) -> None:
    made = {"debt": scenes.debt(), "approval": scenes.awaiting_approval(), "crashes": scenes.crashed()}
    made["debt"].take("create_order", actor="ann")
    sagas = {kind: saga.pk for kind, saga in made.items()}

    def found(**filters: str) -> list[str]:
        keys = {row.pk: row.saga_id for row in open_items(**filters)}
        return [kind for key in oldest(open_items(**filters)) for kind, saga in sagas.items() if keys[key] == saga]

    assert found() == ["debt", "approval", "crashes"]
    assert found(hold="approval") == ["approval"]
    assert found(name=scenes.NAME) == ["debt", "approval", "crashes"]
    assert found(name="another") == []
    assert found(owner="ann") == ["debt"]
    assert found(owner=NOBODY) == ["approval", "crashes"]
    assert counts(User(username="ann")) == (3, 1)
    assert CAP == 1000


def test_oldest__what_somebody_may_act_upon(db: None) -> None:
    from django.contrib.auth.models import Permission

    anyone, finance, undo = (
        scenes.awaiting_approval(), scenes.awaiting_approval(approvers="finance"), scenes.awaiting_undo(people=2),
    )  # fmt: skip
    scenes.debt()
    ann = User.objects.create_user("ann")
    ann.user_permissions.add(Permission.objects.get(codename="approve_saga"))

    def theirs() -> list[str]:
        user = User.objects.get(username="ann")
        sagas = {row.pk: row.saga_id for row in open_items()}
        return [str(sagas[key]) for key in oldest(open_items(), user)]

    assert theirs() == [str(anyone.pk), str(undo.pk)]
    ann.groups.add(Group.objects.create(name="finance"))
    assert theirs() == [str(saga.pk) for saga in (anyone, finance, undo)]
    undo.approve("charge", actor="ann")
    assert theirs() == [str(anyone.pk), str(finance.pk)], "who has approved waits for somebody else"


def test_comments__are_notes_that_change_nothing(db: None) -> None:
    saga = scenes.debt()

    first = saga.comment("create_order", "called them\nno answer", actor="ann", key="k")
    twice = saga.comment("create_order", "called them\nno answer", actor="ann", key="k")
    saga.comment("create_order", "again", actor="bob")

    assert (first, twice) == (True, False)
    assert scenes.fresh(saga).revision == saga.revision
    said = comments(saga.pk)
    assert [(one.step, one.actor, one.text) for one in said] == [
        ("create_order", "ann", "called them\nno answer"),
        ("create_order", "bob", "again"),
    ]
    talk = talks([item(saga)])[item(saga).pk]
    assert (talk.count, talk.last) == (2, said[-1])
    note = HistoryEntry.objects.get(saga=saga, reason="again")
    assert (note.seq, note.kind, note.step, note.round) == (None, "comment", "create_order", 1)
    assert findings() == []


@pytest.mark.parametrize("text", ["", "  \n", "x" * 2001, "a\x00b", None])
def test_comment__no_usable_text(text: str, db: None) -> None:
    saga = scenes.debt()

    with pytest.raises(PayloadError, match="comment: expected"):
        saga.comment("create_order", text, actor="ann")
    assert comments(saga.pk) == []
