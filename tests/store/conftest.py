"""Fixtures of the stores' tests."""

from .database import _lite_template, lite, lite_file, pg, proxied, transactional_db

__all__ = ["_lite_template", "lite", "lite_file", "pg", "proxied", "transactional_db"]
