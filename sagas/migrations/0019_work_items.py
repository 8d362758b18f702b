"""Since when steps ask for a person. Of those that do already, their sagas' histories tell it."""

from typing import Any

from django.db import migrations, models

HELD = models.Q(("held_since__isnull", False))


def forwards(apps: Any, schema_editor: Any) -> None:
    """The time of the entry that told of the hold, or else of the saga's last transition."""
    alias = schema_editor.connection.alias
    steps = apps.get_model("sagas", "Step").objects.using(alias)
    history = apps.get_model("sagas", "HistoryEntry").objects.using(alias)
    held = steps.exclude(hold__in=["", "no_handler"]).values_list(
        "pk", "saga_id", "position", "round", "saga__updated_at"
    )
    for key, saga, position, round_, last in held.iterator():
        steps.filter(pk=key).update(held_since=_since(history.filter(saga_id=saga), str(position), round_) or last)


def _since(entries: Any, position: str, round_: int) -> Any:
    for at, data in entries.filter(seq__isnull=False).order_by("-seq").values_list("at", "data").iterator():
        diff = data.get("steps", {}).get(position, {}) if isinstance(data, dict) else {}
        if diff.get("hold") or diff.get("round") == round_:
            return at
    return None


class Migration(migrations.Migration):
    dependencies = [("sagas", "0018_failure_groups")]
    operations = [
        migrations.CreateModel(
            name="WorkItem",
            fields=[],
            options={
                "verbose_name": "work item",
                "verbose_name_plural": "work items",
                "default_permissions": (),
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("sagas.step",),
        ),
        migrations.AddField(
            model_name="step",
            name="held_since",
            field=models.DateTimeField(blank=True, null=True, verbose_name="held since"),
        ),
        migrations.RunPython(forwards, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="step",
            index=models.Index(condition=HELD, fields=["held_since", "id"], name="sagas_step_held"),
        ),
        migrations.AddIndex(
            model_name="step",
            index=models.Index(condition=HELD, fields=["owner", "held_since", "id"], name="sagas_step_owner"),
        ),
    ]
