"""PostgreSQL: room on the pages, so that updates of running sagas stay where they are (HOT), and an eager autovacuum."""

from typing import Any

from django.db import migrations

TABLES = {"sagas_saga": 75, "sagas_step": 70}


def set_storage(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "postgresql":
        return
    for table, fillfactor in TABLES.items():
        schema_editor.execute(
            f"ALTER TABLE {table} SET (fillfactor = {fillfactor}, autovacuum_vacuum_scale_factor = 0.02, "
            f"autovacuum_analyze_scale_factor = 0.02)"
        )


class Migration(migrations.Migration):
    dependencies = [("sagas", "0001_initial")]
    operations = [migrations.RunPython(set_storage, migrations.RunPython.noop)]
