"""What a confirmation says of child sagas: their part of the plan, and what their parent has to do with it."""

import re

from django.test import Client

from tests.admin import pages, scenes


def plan(client: Client, verb: str, saga: scenes.Saga) -> str:
    return pages.text(client.post(pages.act(verb), {"saga": pages.item(saga)}))


def test_plan__with_the_child_that_runs(operator: Client) -> None:
    saga, child = scenes.family()
    scenes.claims(child)

    text = plan(operator, "compensate", saga)

    assert re.search(
        rf"ship by saga:admin_short .*its child saga {child.ulid} \(started\) Undone, in this order "
        r"charge by admin_tests.undo still running .*first by admin_tests.undo",
        text,
    )


def test_plan__with_a_child_that_is_done(operator: Client) -> None:
    saga, child = scenes.family()
    scenes.finish(child)

    response = operator.post(pages.act("cancel"), {"saga": pages.item(saga)})

    assert f"its child saga {child.ulid} (completed) Undone, in this order charge by" in pages.text(response)
    assert f'<a href="{pages.page(child)}">' in response.content.decode()


def test_plan__a_child_that_is_gone_hides_nothing(operator: Client) -> None:
    saga, child = scenes.family()
    child.delete()

    assert "ship by saga:admin_short" in plan(operator, "compensate", saga)


def test_child__its_parent_is_asked_before_anybody_confirms(operator: Client) -> None:
    saga, child = scenes.family()

    assert "compensate" not in pages.buttons(operator.get(pages.page(child)))
    assert f"it is the child of saga {saga.ulid}" in plan(operator, "compensate", child)
