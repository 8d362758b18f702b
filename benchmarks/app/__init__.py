"""The Django app of the benchmark: two definitions with trivial handlers."""
