"""Debian's packages of the servers and of the browser, for root on a fresh machine."""

import os
import shutil
import subprocess
from collections.abc import Callable

PACKAGES = {
    "PostgreSQL": "postgresql",
    "RabbitMQ": "rabbitmq-server",
    "Chromium": "chromium",
    "libatomic": "libatomic1",
}


def possible() -> bool:
    """Whether we are root where apt-get is."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(missing: list[str], *, say: Callable[[str], None]) -> str:
    """Install the packages of what is missing, saying first what and why; what went wrong, or ""."""
    packages = [PACKAGES[name] for name in missing]
    say(
        f"The tests start servers and a browser of their own, and there is no {' and no '.join(missing)} here: "
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
