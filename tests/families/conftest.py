"""The databases of the stores' tests."""

from tests.store.database import _lite_template, lite, lite_file, pg, transactional_db

__all__ = ["_lite_template", "lite", "lite_file", "pg", "transactional_db"]
