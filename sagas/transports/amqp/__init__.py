"""RabbitMQ through pika: `vendor` alone imports it, `link` keeps a connection open, the others use it."""

from __future__ import annotations

from .consumer import AmqpHintConsumer
from .publisher import AmqpHintPublisher
from .verify import declare

__all__ = ["AmqpHintConsumer", "AmqpHintPublisher", "declare"]
