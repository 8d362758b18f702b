"""Debian's packages of the servers, for root on a fresh machine."""

import os
import shutil
import subprocess
from collections.abc import Callable

PACKAGES = {"PostgreSQL": "postgresql", "RabbitMQ": "rabbitmq-server"}


def possible() -> bool:
    """Whether we are root where apt-get is."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(missing: list[str], *, say: Callable[[str], None]) -> str:
    """Install the packages of these servers, saying first what and why; what went wrong, or ""."""
    packages = [PACKAGES[server] for server in missing]
    say(
        f"The tests start servers of their own, and the programs of {' and '.join(missing)} are not here: "
        f"installing Debian's {' and '.join(packages)}."
    )
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-qq", *command],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        if done.returncode:
            return f"apt-get {command[0]} failed: {done.stderr.strip()[-500:]}"
    return ""
