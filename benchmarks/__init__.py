"""Benchmarks of the engine beside its peers: `make bench`. Nothing here is imported by `sagas` or by its
tests.
"""
