"""The settings and the system checks."""
