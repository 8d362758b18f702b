from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sagas", "0009_progress"),
    ]

    operations = [
        migrations.AddField(
            model_name="step",
            name="undo_output",
            field=models.JSONField(blank=True, null=True, verbose_name="output of the compensation"),
        ),
    ]
