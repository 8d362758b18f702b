"""RabbitMQ for tests: a broker that lets us in, or a private one."""

import secrets
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote, urlsplit

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError

from tests.services.ports import free_port, listens
from tests.services.processes import Place, ServerError, account
from tests.services.waiting import wait_until

STANDARD_URL = "amqp://guest:guest@127.0.0.1:5672/%2F"
_CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_user = sagas
default_pass = {password}
log.file = false
log.console = true
log.console.level = warning
disk_free_limit.absolute = 1MB
"""


def with_vhost(url: str, vhost: str) -> str:
    """The same broker and account, another vhost."""
    return urlsplit(url)._replace(path=f"/{quote(vhost, safe='')}").geturl()


def refusal(url: str) -> str:
    """Why the broker cannot be used; "" when it can."""
    parameters = pika.URLParameters(url)
    parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = 5
    parameters.connection_attempts = 1
    try:
        pika.BlockingConnection(parameters).close()
    except (AMQPError, AMQPConnectorException, OSError) as exc:
        return str(exc) or f"nobody answers at {parameters.host}:{parameters.port}"
    return ""


def remove_queues(url: str, *, queues: list[str], exchanges: list[str]) -> None:
    """Delete what a session without a vhost of its own has declared."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        for queue in queues:
            channel.queue_delete(queue)
        for exchange in exchanges:
            channel.exchange_delete(exchange)
    finally:
        connection.close()


def programs() -> Path | None:
    """The directory of the real scripts: Debian's wrappers insist on /var/log and on their account."""
    packaged = [
        Path("/usr/lib/rabbitmq/bin"),
        *sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin")),
    ]
    on_path = shutil.which("rabbitmq-server")
    places = [*packaged, *([Path(on_path).resolve().parent] if on_path else [])]
    return next((place for place in places if (place / "rabbitmq-server").exists()), None)


class PrivateRabbitMQ:
    """A RabbitMQ of our own on a free port, for tests that stop, freeze, restart or wipe it; up in 6 s."""

    def __init__(self) -> None:
        found = programs()
        if found is None:
            raise ServerError("no programs of RabbitMQ to start one of our own: sudo apt-get install rabbitmq-server")
        self._bin = found
        self._place = Place("rabbitmq", user=account("rabbitmq"))
        self._password = secrets.token_hex(8)
        self._children: list[subprocess.Popen[bytes]] = []
        self.port = free_port()
        self._env = self._environment()
        self._place.directory("mnesia")
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Its default vhost, as administrator."""
        return f"amqp://sagas:{self._password}@127.0.0.1:{self.port}/%2F"

    @property
    def runs(self) -> bool:
        """Whether its process is alive (it may be frozen)."""
        return bool(self._children) and self._children[-1].poll() is None

    def ctl(self, *words: str, timeout: float = 90) -> str:
        """`rabbitmqctl …` on this broker; what it printed."""
        return self._place.run(self._bin / "rabbitmqctl", "--quiet", *words, env=self._env, timeout=timeout)

    def create_vhost(self, name: str = "") -> str:
        """A new vhost; its URL."""
        vhost = name or f"vhost_{secrets.token_hex(4)}"
        self.ctl("add_vhost", vhost)
        self.ctl("set_permissions", "-p", vhost, "sagas", ".*", ".*", ".*")
        return with_vhost(self.url, vhost)

    def start(self) -> None:
        """Start it, unless it runs; returns when it accepts connections."""
        if self.runs:
            return
        # A name server of our own: the usual one would outlive us, and may be somebody else's.
        if not listens(int(self._env["ERL_EPMD_PORT"])):
            self._children.insert(0, self._place.spawn(_epmd(), env=self._env))
        self._children.append(self._place.spawn(self._bin / "rabbitmq-server", env=self._env))
        wait_until(self._answers, within=120, what="RabbitMQ starts")

    def stop(self) -> None:
        """Stop it in good order."""
        if self.runs:
            self.thaw()
            self._children[-1].terminate()
            self._children[-1].wait(60)

    def kill(self) -> None:
        """kill -9 of all its processes."""
        self._place.kill()
        for child in self._children:
            child.wait(10)

    def restart(self, mode: str = "stop") -> None:
        """Down and up again: "stop" in good order, "kill" without, "app" within the same process."""
        if mode == "app":
            self.ctl("stop_app")
            self.ctl("start_app")
            return
        if mode == "kill":
            self.kill()
        else:
            self.stop()
        self.start()

    def freeze(self) -> None:
        """It stands still and keeps its connections, until `thaw`."""
        self._place.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._place.signal(signal.SIGCONT)

    def wipe(self) -> None:
        """It comes back empty: same address, same account, no vhost, exchange or queue of ours."""
        self.kill()
        self._place.directory("mnesia")
        self.start()

    def heal(self) -> None:
        """Running and thawed, whatever was done to it."""
        self.thaw()
        self.start()

    def close(self) -> None:
        """End it and remove all that it wrote."""
        self._place.remove()
        for child in self._children:
            child.wait(10)

    def _environment(self) -> dict[str, str]:
        path = self._place.path
        config = self._place.write("rabbitmq.conf", _CONFIG.format(port=self.port, password=self._password))
        plugins = self._place.write("enabled_plugins", "[].\n")
        return {
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(free_port()),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(path / "none"),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_CONF_ENV_FILE": str(self._place.write("rabbitmq-env.conf", "")),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_LOG_BASE": str(path),
            "RABBITMQ_MNESIA_BASE": str(path / "mnesia"),
            "RABBITMQ_NODENAME": f"sagas{secrets.token_hex(4)}@localhost",
            "RABBITMQ_PID_FILE": str(path / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }

    def _answers(self) -> bool:
        if not self.runs:
            raise ServerError(f"RabbitMQ did not start: {self._place.last_words()}")
        return listens(self.port) and not refusal(self.url)


def _epmd() -> Path:
    """Erlang's name server; packages hide it beside the runtime."""
    hidden = sorted(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))
    found = shutil.which("epmd") or (hidden[-1] if hidden else None)
    if found is None:
        raise ServerError("RabbitMQ is installed, but Erlang's epmd is not")
    return Path(found)
