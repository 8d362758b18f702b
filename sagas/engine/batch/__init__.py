"""Batches: one act of an operator on all sagas that filters find, done by the workers at a rate.

`wishes`: which sagas are meant; `making`: preview and creation; `steering`: pause, resume, go on, cancel; `stepping`: a
worker's look; `fates`: what became of a saga; `verdict`: whether it goes on.
"""

from .making import DEFAULT_RATE, MAX_RATE, MIN_RATE, Preview, create, preview
from .steering import cancel, go_on, pause, resume
from .stepping import step
from .wishes import COUNTED, VERBS, WORDS, check_allowed, check_verb, matching, read_filters

__all__ = [
    "COUNTED",
    "DEFAULT_RATE",
    "MAX_RATE",
    "MIN_RATE",
    "VERBS",
    "WORDS",
    "Preview",
    "cancel",
    "check_allowed",
    "check_verb",
    "create",
    "go_on",
    "matching",
    "pause",
    "preview",
    "read_filters",
    "resume",
    "step",
]
