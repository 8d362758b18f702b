"""Dramatiq: a pipeline of three actors over RabbitMQ, no durable state, hence no rollback to measure.

The last actor appends one byte to a file opened for appending: the kernel keeps that atomic between threads
and processes and it costs a microsecond, so counting does not slow the pipeline. The file's size is the
count.
"""

from __future__ import annotations

import os

import dramatiq
from dramatiq import pipeline
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.place import here
from benchmarks.starter import serve

PLACE = here()
QUEUE = f"{PLACE.prefix}.dramatiq"
TALLY = os.open(PLACE.tally, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

broker = RabbitmqBroker(url=PLACE.broker_url)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name=QUEUE, max_retries=0)
def first(saga: int) -> int:
    return saga


@dramatiq.actor(queue_name=QUEUE, max_retries=0)
def second(saga: int) -> int:
    return saga


@dramatiq.actor(queue_name=QUEUE, max_retries=0)
def third(saga: int) -> None:
    os.write(TALLY, b".")


def workflow(saga: int) -> pipeline:
    return first.message(saga) | second.message() | third.message()


class DramatiqStarter:
    """Starts pipelines; alone on the system, one is finished when the tally has grown."""

    def __init__(self) -> None:
        self.serial = 0

    def start(self, path: str) -> int:
        before = os.fstat(TALLY).st_size
        self.serial += 1
        workflow(self.serial).run()
        return before

    def start_bulk(self, path: str, count: int) -> None:
        for serial in range(count):
            workflow(serial).run()

    def finished(self, handle: int) -> bool:
        return os.fstat(TALLY).st_size > handle


if __name__ == "__main__":
    serve(DramatiqStarter)
