"""One contract for all stores, and what each of them has beside it."""
