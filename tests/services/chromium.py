"""The browser of the tests: a Chromium that this machine has; none is ever downloaded."""

import os
import shutil
from collections.abc import Mapping

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


def flags() -> list[str]:
    """What it is started with. Root, who is usual in a container, may not use its sandbox."""
    return [*_QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
