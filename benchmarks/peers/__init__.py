"""The peers, one module each. They run in `benchmarks/.venv` and import nothing of Django or of `sagas`."""
