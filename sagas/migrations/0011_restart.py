"""The permission to start new sagas in the place of ended ones. It is made by Django after `migrate`."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("sagas", "0010_undo_output")]
    operations = [
        migrations.AlterModelOptions(
            name="saga",
            options={
                "default_permissions": ("view",),
                "permissions": [
                    ("compensate_saga", "Can compensate sagas"),
                    ("retry_saga", "Can retry sagas"),
                    ("cancel_saga", "Can cancel sagas"),
                    ("pause_saga", "Can pause, resume and hurry sagas"),
                    ("steer_saga", "Can skip steps, run them with other input, and roll back to them"),
                    ("approve_saga", "Can approve and deny steps"),
                    ("resolve_saga", "Can resolve and assign what sagas are stuck with"),
                    ("signal_saga", "Can send signals to sagas"),
                    ("restart_saga", "Can start new sagas in the place of ended ones"),
                ],
                "verbose_name": "saga",
                "verbose_name_plural": "sagas",
            },
        ),
    ]
