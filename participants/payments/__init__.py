"""Charges cards and refunds them."""
