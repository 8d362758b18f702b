"""The demo: real orders through the real API, real processes, and books that must balance in the end."""
