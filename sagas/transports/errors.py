"""Errors of the broker edge. A vendor's exception never leaves this package: it becomes one of these."""

from __future__ import annotations

from sagas.core.errors import SagaError


class TransportError(SagaError):
    """The broker did not do what was asked of it."""

    code = "transport"


class TransportConnectionError(TransportError):
    """The broker can not be reached, or the connection to it was lost. Trying again later is right."""

    code = "transport_connection"


class BrokerUrlError(TransportError):
    """The broker's URL can not be used. Trying again will not help: correct the setting."""

    code = "broker_url"


class TopologyError(TransportError):
    """An exchange or a queue is not as it must be. Trying again will not help: a person must mend it."""

    code = "topology"


class MessageDecodeError(SagaError):
    """A message is not a hint. `reason` is one short word for headers, counters and logs."""

    code = "undecodable_message"

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message, reason=reason)
        self.reason = reason
