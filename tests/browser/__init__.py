"""The operator's console as people use it: in a real Chromium, against a live server on PostgreSQL."""
