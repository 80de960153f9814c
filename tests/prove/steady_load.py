"""Load that never ends by itself: a log with everything injected, over and over, at a rate.

Sent from a thread of its own by an idempotent producer, so that what a broker's death interrupts is
in the topic once. What lies in the topic is read at the end; the answers to the sender are not
relied on, since a broker that was killed may have forgotten where a repeated batch lies.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice

import numpy as np

from prove.injection import Injector
from prove.logs import Event
from prove.rows import Check, equal
from prove.sending import Message, Sender, Sent
from prove.system import SystemFailedError
from prove.topics import committed_records
from prove.verification import EVENTS_TOPIC

PART_SECONDS = 0.25
#: The days of one round through the log; the next round is that much later.
ROUND_MS = 10 * 86_400_000


def endless(
    events: list[Event], rng: np.random.Generator, n_partitions: int, n_malformed: int
) -> Iterator[Message]:
    """Yield a log with everything injected but transactions, over and over.

    Every second round is done by users of its own, so that there are more users than hot rows.
    """
    for number in count():
        renamed = [_in_round(event, number) for event in events]
        plan = Injector(rng, n_partitions, n_malformed).inject(renamed)
        for how, messages in plan.parts:
            if how != "abort":
                yield from messages


def _in_round(event: Event, number: int) -> Event:
    user = event["user_id"] if number % 2 == 0 else f"{event['user_id']}-{number}"
    return {
        **event,
        "user_id": user,
        "event_id": f"{event['event_id']}-{number}",
        "event_time_ms": event["event_time_ms"] + number * ROUND_MS,
    }


class SteadyLoad:
    """Sends messages at a rate until it is told to stop.

    Args:
        bootstrap: Where to.
        messages: Without an end.
        rate: Messages a second.
    """

    def __init__(self, bootstrap: str, messages: Iterator[Message], rate: float) -> None:
        self._bootstrap = bootstrap
        self._messages = messages
        self._part = max(1, round(rate * PART_SECONDS))
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent: list[Message] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and wait until all that was sent is acknowledged.

        Raises:
            SystemFailedError: Something was not acknowledged.
        """
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise SystemFailedError(f"the load failed: {self._error!r}") from self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._send())
        except Exception as error:  # Handed to the thread that stops us.
            self._error = error

    async def _send(self) -> None:
        async with Sender(self._bootstrap, EVENTS_TOPIC) as sender:
            while not self._stop.is_set():
                started = time.monotonic()
                part = list(islice(self._messages, self._part))
                await sender.send(part)
                self.sent += part
                await asyncio.sleep(max(0.0, PART_SECONDS - (time.monotonic() - started)))

    def landed(self) -> list[Sent]:
        """Read the topic and return where every message lies.

        Raises:
            SystemFailedError: There is a record that nobody sent.
        """
        known = {(message.key, message.value): message for message in self.sent}
        found = []
        for record in committed_records(self._bootstrap, EVENTS_TOPIC):
            message = known.get((record.key, record.value))
            if message is None:
                raise SystemFailedError(f"a record nobody sent: {record.value!r}")
            found.append(Sent(message, record.partition, record.offset, record.timestamp))
        return found

    def check(self, landed: list[Sent]) -> Check:
        """Check that each message that was acknowledged lies in the topic, and lies there once."""
        sent = Counter((message.key, message.value) for message in self.sent)
        there = Counter((one.message.key, one.message.value) for one in landed)
        lost, doubled = (sent - there).total(), (there - sent).total()
        return equal(
            f"{len(self.sent):,} acknowledged messages: not in the topic, there twice",
            f"{lost} and {doubled}",
            "0 and 0",
        )
