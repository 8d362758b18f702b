"""Failures grouped by signature. The rollup begins anew, so that those of the last days are counted too: for some minutes
the pages say that the first count is under way."""

from typing import Any

import django.db.models.deletion
from django.db import migrations, models


def count_anew(apps: Any, schema_editor: Any) -> None:
    rows = apps.get_model("sagas", "Rollup")._base_manager
    rows.using(schema_editor.connection.alias).update(cursor=None, behind=True)


class Migration(migrations.Migration):
    dependencies = [
        ("sagas", "0017_batch"),
    ]

    operations = [
        migrations.CreateModel(
            name="FailureGroup",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False, verbose_name="signature")),
                ("name", models.CharField(max_length=100, verbose_name="definition")),
                ("step", models.CharField(max_length=100, verbose_name="step")),
                ("code", models.CharField(max_length=100, verbose_name="error code")),
                ("pattern", models.TextField(blank=True, default="", verbose_name="message")),
                ("example", models.TextField(blank=True, default="", verbose_name="example of a message")),
                ("example_saga", models.UUIDField(blank=True, null=True, verbose_name="example")),
                ("total", models.BigIntegerField(default=0, verbose_name="failures")),
                ("first_seen", models.DateTimeField(verbose_name="first seen")),
                ("last_seen", models.DateTimeField(verbose_name="last seen")),
                ("open", models.IntegerField(default=0, verbose_name="open")),
            ],
            options={
                "verbose_name": "failure",
                "verbose_name_plural": "failures",
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["-last_seen"], name="sagas_failure_seen"),
                    models.Index(fields=["name", "-last_seen"], name="sagas_failure_name"),
                    models.Index(
                        condition=models.Q(("open", 0), _negated=True), fields=["-open"], name="sagas_failure_open"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="FailedSaga",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(verbose_name="failed at")),
                ("open", models.BooleanField(default=False, verbose_name="open")),
                (
                    "saga",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="sagas.saga",
                        verbose_name="saga",
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="members",
                        to="sagas.failuregroup",
                        verbose_name="failure",
                    ),
                ),
            ],
            options={
                "verbose_name": "failed saga",
                "verbose_name_plural": "failed sagas",
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["group", "saga"], name="sagas_failed_ever"),
                    models.Index(
                        condition=models.Q(("open", True)), fields=["group", "saga"], name="sagas_failed_open"
                    ),
                    models.Index(condition=models.Q(("open", False)), fields=["at"], name="sagas_failed_old"),
                ],
                "constraints": [models.UniqueConstraint(fields=("saga", "group"), name="sagas_failed")],
            },
        ),
        migrations.CreateModel(
            name="FailureHour",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("hour", models.DateTimeField(verbose_name="hour")),
                ("count", models.PositiveIntegerField(default=0, verbose_name="failures")),
                (
                    "group",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="hours",
                        to="sagas.failuregroup",
                        verbose_name="failure",
                    ),
                ),
            ],
            options={
                "verbose_name": "hour of failures",
                "verbose_name_plural": "hours of failures",
                "default_permissions": (),
                "indexes": [models.Index(fields=["hour"], name="sagas_failure_when")],
                "constraints": [models.UniqueConstraint(fields=("group", "hour"), name="sagas_failure_hour")],
            },
        ),
        migrations.RunPython(count_anew, migrations.RunPython.noop),
    ]
