"""Indexes for what ended when, and for the unfinished of one definition: see docs/decisions.md."""

from typing import Any

from django.db import migrations, models

#: PostgreSQL only. The name rides along, so that the unfinished of a definition are found without their rows.
FORWARDS = (
    "DROP INDEX sagas_unfinished",
    "CREATE INDEX sagas_unfinished ON sagas_saga (state, id) INCLUDE (name) "
    "WHERE state IN ('started', 'compensating', 'failed')",
)
BACKWARDS = (
    "DROP INDEX sagas_unfinished",
    "CREATE INDEX sagas_unfinished ON sagas_saga (state, id) WHERE state IN ('started', 'compensating', 'failed')",
)


def forwards(apps: Any, schema_editor: Any) -> None:
    _run(schema_editor, FORWARDS)


def backwards(apps: Any, schema_editor: Any) -> None:
    _run(schema_editor, BACKWARDS)


def _run(schema_editor: Any, statements: tuple[str, ...]) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for statement in statements:
            schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("contenttypes", "0002_remove_content_type_name"), ("sagas", "0019_work_items")]
    operations = [
        migrations.AddIndex(
            model_name="saga",
            index=models.Index(
                condition=models.Q(("completed_at__isnull", False)), fields=["completed_at"], name="sagas_ended"
            ),
        ),
        migrations.RunPython(forwards, backwards),
    ]
