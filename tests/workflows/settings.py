"""The project with the tutorial's own package in place of ours, for a worker in a process of its own."""

from sagaproject.settings import *  # noqa: F403

INSTALLED_APPS = [
    "payment_processor" if app == "participants.payment_processor" else app
    for app in INSTALLED_APPS  # noqa: F405
]
