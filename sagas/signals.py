"""Django signals, for what should reach people: a pager, a chat, a ticket. Sent after the commit, by the process that
made it, to receivers that may raise (it is logged) but should be quick.

They tell what has happened, at most once each: a process that dies between commit and signal sends none. What must not
be missed is in the rows: `Saga.objects.needing_attention()`.
"""

from __future__ import annotations

from django.dispatch import Signal

#: A person must look. Sent with `saga_id`, `name` (of the saga) and `reason` (see `Saga.attention`).
attention_raised = Signal()
#: A compensation has failed for good: a debt. Sent with `saga_id`, `name` and `step`.
debt_opened = Signal()
#: A debt is still open, and nothing has happened to it for SAGAS["DEBT_REMINDER"]: sent by the stale monitor, once per
#: such time. With `saga_id`, `name`, `step`, `age` (a timedelta) and `owner` (who looks after it; may be empty).
debt_reminded = Signal()
#: A saga has ended. Sent with `saga_id`, `name` and `state`.
saga_ended = Signal()
