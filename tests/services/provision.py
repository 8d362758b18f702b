"""Which PostgreSQL and which RabbitMQ a session uses: named, found, started or installed, in this order.

The same for Chromium, of sessions that have tests in a browser.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.services import chromium, install, names, postgres, processes, rabbitmq, vhosts

Say = Callable[[str], None]


class UnavailableError(Exception):
    """No server for the tests; the message says what to do."""


@dataclass
class Services:
    """What a session got. `close` ends what was started for it."""

    stamp: str
    database_url: str = ""
    #: The broker's URL as it was named or found; `maker` makes vhosts there, and has made `vhost(0)`.
    broker_url: str = ""
    maker: vhosts.Maker | None = None
    #: The processes of the session: one, or pytest-xdist's workers.
    numbers: set[int] = field(default_factory=lambda: {0})
    closing: ExitStack = field(default_factory=ExitStack)

    def vhost(self, number: int) -> str:
        """The vhost of the session's n-th process."""
        return f"{self.stamp}_{number}"

    def close(self) -> None:
        """End private servers and remove their files."""
        self.closing.close()


def provide(environ: Mapping[str, str], *, say: Say, whole: bool = True, browser: bool = False) -> Services:
    """Both servers, ready to use. For the `whole` suite also the programs, of which some tests start their own, and
    the browser; for tests in a `browser` that alone."""
    processes.remove_leftovers()
    services = Services(names.new_stamp())
    try:
        _use_running(services, environ)
        _install_missing(lambda: _missing(services, environ, whole=whole, browser=browser), say=say)
        _start_own(services, environ)
    except BaseException:
        services.close()
        raise
    postgres.remove_leftovers(services.database_url)
    return services


def _use_running(services: Services, environ: Mapping[str, str]) -> None:
    """Those named by the environment, else those on the standard ports."""
    services.database_url = _named_database(environ) or next(
        (url for url in postgres.standard_urls(environ) if not postgres.refusal(url)), ""
    )
    services.broker_url = _named_broker(environ) or (
        "" if rabbitmq.refusal(rabbitmq.STANDARD_URL) else rabbitmq.STANDARD_URL
    )
    if services.broker_url:
        maker = services.maker = vhosts.open_vhost(services.broker_url, services.vhost(0))
        if maker is not None:
            services.closing.callback(lambda: vhosts.remove(maker, prefix=services.stamp))


def _install_missing(missing: Callable[[], list[str]], *, say: Say) -> None:
    """The programs of what is not running, and those that the tests start; by root, or not at all."""
    names_of = missing()
    if names_of and install.possible():
        if trouble := install.install(names_of, say=say):
            say(trouble)
        names_of = missing()
    if names_of:
        raise UnavailableError(_what_to_do(names_of))


def _missing(services: Services, environ: Mapping[str, str], *, whole: bool, browser: bool) -> list[str]:
    missing = []
    if postgres.programs() is None and (whole or not services.database_url):
        missing.append("PostgreSQL")
    if rabbitmq.programs() is None and (whole or not services.broker_url):
        missing.append("RabbitMQ")
    if (whole or browser) and not chromium.program(environ):
        if environ.get("CHROMIUM"):
            raise UnavailableError("CHROMIUM does not name a program that can be run: unset it or name a Chromium.")
        missing.append("Chromium")
    if (whole or browser) and (library := chromium.driver_lacks()):
        missing.append(library)
    return missing


def _start_own(services: Services, environ: Mapping[str, str]) -> None:
    """Private instances of what is not running. A broker that gives us no vhost is used only if it was named."""
    if not services.database_url:
        server = postgres.PrivatePostgres()
        services.closing.callback(server.close)
        services.database_url = server.url
    crowded = services.maker is None and not environ.get("BROKER_URL") and rabbitmq.programs() is not None
    if not services.broker_url or crowded:
        broker = rabbitmq.PrivateRabbitMQ()
        services.closing.callback(broker.close)
        services.broker_url, services.maker = broker.url, vhosts.BrokerMaker(broker)
        services.maker.create(services.vhost(0))


def _named_database(environ: Mapping[str, str]) -> str:
    url = environ.get("DATABASE_URL", "")
    if not url:
        return ""
    if not url.startswith(("postgres://", "postgresql://")):
        raise UnavailableError(
            "DATABASE_URL does not name a PostgreSQL server, which the tests need: unset it or name one."
        )
    # The database itself need not exist yet: the tests make their own beside it.
    refusals = {usable: postgres.refusal(usable) for usable in (postgres.with_name(url, "postgres"), url)}
    if all(refusals.values()):
        raise UnavailableError(f"The server that DATABASE_URL names cannot be used for the tests: {refusals[url]}.")
    return next(usable for usable, refused in refusals.items() if not refused)


def _named_broker(environ: Mapping[str, str]) -> str:
    url = environ.get("BROKER_URL", "")
    if not url:
        return ""
    if not url.startswith(("amqp://", "amqps://")):
        raise UnavailableError(
            "BROKER_URL does not name a RabbitMQ server, which the tests need: unset it or name one."
        )
    if refused := rabbitmq.refusal(url):
        raise UnavailableError(f"The broker that BROKER_URL names cannot be used for the tests: {refused}.")
    return url


def _what_to_do(missing: list[str]) -> str:
    packages = " ".join(install.PACKAGES[name] for name in missing)
    return (
        f"The tests need the programs of {' and '.join(missing)}, to start servers and a browser of their own.\n"
        f"Install them:  sudo apt-get install {packages}\n"
        "or run a part on servers that you name:  make test ARGS=tests/api DATABASE_URL=postgres://… BROKER_URL=amqp://…"
    )


def prefixed_names(stamp: str) -> dict[str, str]:
    """Settings that keep a session apart on a broker where it has no vhost of its own."""
    return {
        "SAGAS_EXCHANGE": f"{stamp}.sagas",
        "SAGAS_STEP_QUEUE": f"{stamp}.steps",
        "SAGAS_COMPENSATE_QUEUE": f"{stamp}.compensate",
        "SAGAS_DEAD_LETTER_EXCHANGE": f"{stamp}.dead-letter",
        "SAGAS_DEAD_LETTER_QUEUE": f"{stamp}.dead-letter",
        "CELERY_QUEUE": f"{stamp}.celery",
    }
