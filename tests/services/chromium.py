"""The browser of the tests: a Chromium that this machine has; none is ever downloaded."""

import os
import shutil
import subprocess
from collections.abc import Mapping

from playwright._impl._driver import compute_driver_executable

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: It talks to the tests' own server and to nobody else.
_QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def program(environ: Mapping[str, str] = os.environ) -> str:
    """The browser that CHROMIUM names, else one on the PATH; "" when there is none."""
    named = environ.get("CHROMIUM", "")
    if named:
        return shutil.which(named) or ""
    return next(filter(None, map(shutil.which, NAMES)), "")


def driver_lacks() -> str:
    """The library that Playwright's own program wants and a bare Debian does not have; "" when it can be run."""
    driver, _ = compute_driver_executable()
    complaint = subprocess.run([driver, "--version"], capture_output=True, text=True, check=False).stderr
    return "libatomic" if "libatomic.so" in complaint else ""


def flags() -> list[str]:
    """What it is started with. Root, who is usual in a container, may not use its sandbox."""
    return [*_QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
