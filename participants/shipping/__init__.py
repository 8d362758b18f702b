"""Checks addresses and hands parcels to a carrier."""
