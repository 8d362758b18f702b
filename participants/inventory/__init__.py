"""Holds the stock and reserves it."""
