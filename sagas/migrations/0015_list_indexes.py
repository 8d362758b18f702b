"""Indexes of the admin's list. None of them names what changes with a step, and none but those of names and of states is
written to by a start that has neither tags nor errors: see docs/decisions.md."""

from typing import Any

from django.db import migrations, models

_UNFINISHED = "WHERE state IN ('started', 'compensating', 'failed')"
#: PostgreSQL only. What rides along with an index (INCLUDE) is read from it: the version with the name, the name with the
#: state. Tags need a GIN index.
FORWARDS = (
    "DROP INDEX sagas_name",
    "CREATE INDEX sagas_name ON sagas_saga (name, id) INCLUDE (version)",
    "DROP INDEX sagas_unfinished",
    f"CREATE INDEX sagas_unfinished ON sagas_saga (state, id) INCLUDE (name) {_UNFINISHED}",
    "CREATE INDEX sagas_tags ON sagas_saga USING gin (tags jsonb_path_ops) WHERE NOT (tags = '[]'::jsonb)",
)
BACKWARDS = (
    "DROP INDEX sagas_tags",
    "DROP INDEX sagas_unfinished",
    f"CREATE INDEX sagas_unfinished ON sagas_saga (state, id) {_UNFINISHED}",
    "DROP INDEX sagas_name",
    "CREATE INDEX sagas_name ON sagas_saga (name, id)",
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
    dependencies = [("contenttypes", "0002_remove_content_type_name"), ("sagas", "0014_reveal")]
    operations = [
        migrations.AddIndex(
            model_name="saga",
            index=models.Index(condition=models.Q(("paused_at__isnull", False)), fields=["id"], name="sagas_paused"),
        ),
        migrations.AddIndex(
            model_name="saga",
            index=models.Index(condition=models.Q(("state", "compensated")), fields=["id"], name="sagas_compensated"),
        ),
        migrations.AddIndex(
            model_name="saga",
            index=models.Index(
                condition=models.Q(("completed_at__isnull", False)), fields=["completed_at"], name="sagas_ended"
            ),
        ),
        migrations.AddIndex(
            model_name="saga",
            index=models.Index(
                condition=models.Q(("error_code", ""), _negated=True), fields=["error_code", "id"], name="sagas_error"
            ),
        ),
        migrations.AddIndex(
            model_name="step",
            index=models.Index(
                condition=models.Q(("error_code", ""), _negated=True), fields=["name", "saga"], name="sagas_step_error"
            ),
        ),
        migrations.RunPython(forwards, backwards),
    ]
