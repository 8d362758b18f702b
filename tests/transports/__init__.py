"""Transports, on a real broker. Each test has names of its own, so that tests may share one broker and vhost."""
