"""The real PostgreSQL and RabbitMQ of a test session: found, started or installed; and what disturbs them.


`plugin` is loaded by pytest (pyproject.toml) and provides both before Django reads its settings; the fixtures
stand in `tests/conftest.py`. Private servers (`postgres.PrivatePostgres`, `rabbitmq.PrivateRabbitMQ`) are for
tests that stop, freeze or wipe a server; `proxy.Proxy` stands between a client and a server and spoils their
talk.
"""
