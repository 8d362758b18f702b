"""The demo's operator: the login that `make run` prints and `make demo` uses."""

from django.contrib.auth import get_user_model

NAME = "operator"
PASSWORD = "operator"  # noqa: S105  (printed on the screen: it guards a demo on the loopback address)


def demo_operator() -> str:
    """Make the operator unless there is one; returns what to log in with. An existing password stays."""
    users = get_user_model().objects
    if not users.filter(username=NAME).exists():
        users.create_superuser(NAME, "", PASSWORD)
    found = users.get(username=NAME)
    return f"{NAME} / {PASSWORD}" if found.check_password(PASSWORD) else f"{NAME}, with the password you gave it"
