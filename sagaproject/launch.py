"""`make run`: the whole project on this machine for a person to click around in. Ctrl-C ends all of it.

Web server (storefront, API, admin), saga worker, celery worker and celery beat, as children of this process.
What is missing is said in one sentence. Not for production: it listens on the loopback address and makes a
demo login.
"""

import argparse
import os
import sys

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections

from sagaproject.children import Children

GRACE = 15.0
STARTS_WITHIN = 60.0


def main() -> int:
    """Run until a signal (0) or the end of a child (1)."""
    options = _options()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sagaproject.settings")
    os.environ["DEMO"] = "1"
    try:
        django.setup()
    except ImproperlyConfigured as exc:
        return _complain(str(exc))
    from sagaproject import preflight

    if found := preflight.trouble(port=options.port):
        return _complain(found)
    login = _prepare()
    children = Children(grace=GRACE)
    children.listen_to_signals()
    children.start(commands(options.port), env=os.environ)
    try:
        return _run(children, options.port, login)
    finally:
        children.stop()
        print("All ended.", flush=True)


def commands(port: int) -> dict[str, list[str]]:
    """The children and how they are started."""
    python = [sys.executable, "-u"]
    # Root is usual in a container, and harmless: nothing but JSON is accepted.
    quiet = ["-W", "ignore:You're running the worker with superuser"]
    celery = [*python, *quiet, "-m", "celery", "--quiet", "--app", "sagaproject"]
    return {
        "web": [
            *python, "-m", "gunicorn", "sagaproject.wsgi", "--bind", f"127.0.0.1:{port}",
            "--worker-class", "gthread", "--threads", "8",
            "--no-control-socket", "--graceful-timeout", "5", "--log-level", "warning",
        ],
        "worker": [*python, "manage.py", "saga_worker"],
        "celery": [*celery, "worker", "--pool", "solo", "--without-gossip", "--without-mingle"],
        "beat": [*celery, "beat", "--pidfile", ""],
    }  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run", description="The whole project on this machine.")
    parser.add_argument("--port", type=int, default=8000, help="where the web server listens (default 8000)")
    return parser.parse_args()


def _prepare() -> str:
    """Tables, stock and the operator; the operator's login."""
    from participants.demo import seed_stock
    from sagaproject.accounts import demo_operator

    call_command("check")  # what is broken is said once, and not by every child
    print("Preparing the database.", flush=True)
    call_command("migrate", verbosity=0, interactive=False)
    seed_stock()
    login = demo_operator()
    connections.close_all()
    return login


def _run(children: Children, port: int, login: str) -> int:
    from sagaproject import preflight

    ended, waited = None, 0.0
    while ended is None and waited < STARTS_WITHIN and not preflight.port_trouble(port):
        ended, waited = children.wait(0.2), waited + 0.2
    if ended is None:
        print(_welcome(port, login), flush=True)
        ended = children.wait()
    if ended is None or not ended.name:
        return 0
    return _complain(f"{ended.name} has ended with code {ended.code}, its last lines are above; ending the others.")


def _welcome(port: int, login: str) -> str:
    home = f"http://127.0.0.1:{port}"
    database = settings.DATABASES["default"]
    broker = "as BROKER_URL says" if settings.BROKER_URL else "none: the worker finds its work in the database"
    return f"""
  Storefront  {home}/
  Admin       {home}/admin/
  API         {home}/api/sagas/
  Login       {login}
  Database    {database["HOST"] or database["NAME"]}
  Broker      {broker}

Ctrl-C ends all of it.
"""


def _complain(sentence: str) -> int:
    print(f"Error: {sentence}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
