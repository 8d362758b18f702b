"""What people can do to sagas, by name, and the permission that each of it takes."""

from __future__ import annotations

#: Verb → the permission's codename (of the app `sagas`). The verbs are called as the methods of `Saga` are.
PERMISSIONS: dict[str, str] = {
    "compensate": "compensate_saga",
    "cancel": "cancel_saga",
    "retry": "retry_saga",
    "run_now": "pause_saga",
    "pause": "pause_saga",
    "resume": "pause_saga",
    "retry_with": "steer_saga",
    "skip": "steer_saga",
    "roll_back_to": "steer_saga",
    "approve": "approve_saga",
    "deny": "approve_saga",
    "resolve": "resolve_saga",
    "assign": "resolve_saga",
    "signal": "signal_saga",
    "restart": "restart_saga",
    "start": "start_saga",
    "reveal": "reveal_saga",
}

#: In `SAGAS["OPERATORS"]`: all verbs, or all definitions.
ALL = "*"
