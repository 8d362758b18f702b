"""Workflows in YAML files: what is refused and how, and the tutorial's workflow, unchanged, on every store."""
