"""The use cases: start, operate, run an attempt, commit a group, sweep, flag stale, check."""
