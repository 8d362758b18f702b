"""System checks: what is wrong with settings, project and definitions, before anything runs. The README lists them."""

from __future__ import annotations

from . import definitions, project

__all__ = ["definitions", "project"]
