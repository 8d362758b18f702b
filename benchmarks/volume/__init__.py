"""A PostgreSQL with a million sagas in it, and how long each of the admin's pages takes there: `make volume`."""
