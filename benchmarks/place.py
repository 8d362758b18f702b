"""Where one cell of the benchmark runs: its database, its broker and the prefix of its queues.

Passed to children through the environment, so that peers, which have another interpreter and other packages,
read it as the engine does. Standard library alone. This and `benchmarks.settings` are the only readers of
the environment.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

_PREFIX = "SAGAS_BENCH_"


@dataclass(frozen=True)
class Place:
    """One database, one broker and one prefix, used by one cell and thrown away after it."""

    #: `postgresql://…`, as libpq reads it.
    database_url: str
    #: `amqp://…`, with a virtual host of the benchmark's own where one could be made.
    broker_url: str
    #: Begins the name of every queue and exchange of the cell.
    prefix: str
    #: A file that grows by one byte for each finished pipeline of a peer that has no database.
    tally: str

    def environment(self) -> dict[str, str]:
        values = {"DATABASE_URL": self.database_url, "BROKER_URL": self.broker_url}
        values |= {"PREFIX": self.prefix, "TALLY": self.tally}
        return {_PREFIX + name: value for name, value in values.items()}

    @property
    def sqlalchemy_url(self) -> str:
        """The same database as SQLAlchemy spells it, on psycopg 3."""
        return "postgresql+psycopg://" + self.database_url.split("://", 1)[1]

    @property
    def django_database(self) -> dict[str, object]:
        url = urlsplit(self.database_url)
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url.path.lstrip("/"),
            "HOST": url.hostname or "",
            "PORT": url.port or "",
            "USER": url.username or "",
            "PASSWORD": url.password or "",
        }


def here() -> Place:
    """Read the place that the runner gave to this process."""
    names = ("DATABASE_URL", "BROKER_URL", "PREFIX", "TALLY")
    database_url, broker_url, prefix, tally = (os.environ.get(_PREFIX + name, "") for name in names)
    return Place(database_url=database_url, broker_url=broker_url, prefix=prefix, tally=tally)
