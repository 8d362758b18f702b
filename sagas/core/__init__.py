"""The pure core: states, graph, retry, rows, triggers and the one decision function.

Nothing here imports anything but the standard library: no Django, no clock, no randomness, no I/O, no user code.
"""
