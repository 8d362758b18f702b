"""A vhost of our own on somebody else's broker: through rabbitmqctl, or through the management API."""

import base64
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

from tests.services import names, rabbitmq
from tests.services.ports import listens
from tests.services.processes import ServerError

_API_PORT = 15672
_EPMD_PORT = 4369


class VhostError(Exception):
    """This way of making vhosts is not open to us."""


class Maker(Protocol):
    """One way of making vhosts on a broker."""

    def create(self, vhost: str) -> None:
        """Make it, and let the URL's account use it."""

    def delete(self, vhost: str) -> None:
        """Remove it with all that is in it."""

    def known(self) -> list[str]:
        """The names of all vhosts."""


class CtlMaker:
    """Through `rabbitmqctl` of this machine; needs root or the broker's account."""

    def __init__(self, url: str) -> None:
        self._account = unquote(urlsplit(url).username or "guest")

    def create(self, vhost: str) -> None:
        self._ctl("add_vhost", vhost)
        self._ctl("set_permissions", "-p", vhost, self._account, ".*", ".*", ".*")

    def delete(self, vhost: str) -> None:
        self._ctl("delete_vhost", vhost)

    def known(self) -> list[str]:
        return self._ctl("list_vhosts", "name", "--no-table-headers").split("\n")

    def _ctl(self, *words: str) -> str:
        program = shutil.which("rabbitmqctl") or shutil.which("rabbitmqctl", path="/usr/sbin:/usr/local/sbin")
        # Where no broker runs, rabbitmqctl would start Erlang's name server and leave it behind.
        if program is None or not listens(_EPMD_PORT):
            raise VhostError("no rabbitmqctl, or no broker on this machine")
        try:
            done = subprocess.run([program, "--quiet", *words], capture_output=True, text=True, check=False, timeout=60)
        except subprocess.TimeoutExpired as exc:
            raise VhostError("rabbitmqctl does not answer") from exc
        if done.returncode:
            raise VhostError(done.stderr.strip() or done.stdout.strip())
        return done.stdout


class ApiMaker:
    """Through the management plugin on its usual port, with the URL's account."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._base = f"http://{parts.hostname}:{_API_PORT}/api"
        self._account = unquote(parts.username or "guest")
        login = f"{self._account}:{unquote(parts.password or 'guest')}".encode()
        self._login = f"Basic {base64.b64encode(login).decode()}"

    def create(self, vhost: str) -> None:
        self._ask("PUT", f"/vhosts/{quote(vhost, safe='')}", {})
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        self._ask("PUT", f"/permissions/{quote(vhost, safe='')}/{quote(self._account, safe='')}", rights)

    def delete(self, vhost: str) -> None:
        self._ask("DELETE", f"/vhosts/{quote(vhost, safe='')}")

    def known(self) -> list[str]:
        return [row["name"] for row in self._ask("GET", "/vhosts")]

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        request = urllib.request.Request(self._base + path, method=method)
        request.add_header("Authorization", self._login)
        request.add_header("Content-Type", "application/json")
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=5) as answer:
                text = answer.read()
        except OSError as exc:  # also of what the API refuses: HTTPError is one
            if isinstance(exc, urllib.error.HTTPError):
                exc.close()
            raise VhostError(f"management API: {exc}") from exc
        return json.loads(text) if text else None


class BrokerMaker:
    """Through `rabbitmqctl` of a private broker of ours."""

    def __init__(self, broker: rabbitmq.PrivateRabbitMQ) -> None:
        self._broker = broker

    def create(self, vhost: str) -> None:
        self._broker.create_vhost(vhost)

    def delete(self, vhost: str) -> None:
        self._broker.ctl("delete_vhost", vhost)

    def known(self) -> list[str]:
        return []  # they all end with the broker


def open_vhost(url: str, vhost: str) -> Maker | None:
    """Make a vhost in the way that works on this broker, and return that way; None when there is none."""
    for way in (CtlMaker(url), ApiMaker(url)):
        with suppress(VhostError):
            way.create(vhost)
            # rabbitmqctl may speak to another broker than the URL does
            if not rabbitmq.refusal(rabbitmq.with_vhost(url, vhost)):
                return way
        with suppress(VhostError):
            way.delete(vhost)
    return None


def remove(way: Maker, *, prefix: str) -> None:
    """Delete a session's vhosts and those of interrupted ones; what cannot be deleted is left to the next."""
    with suppress(VhostError, ServerError):
        for vhost in way.known():
            if vhost.startswith(prefix) or names.is_leftover(vhost):
                way.delete(vhost)
