"""Sends events in order and keeps count of how far from the start all are acknowledged.

After a crash at any point only rows after the saved progress are sent again. The center notices a
double among the last event ids of a user, so fewer events of one user than that may be unsaved.
"""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from interest_center.client.pushing import PushError
from interest_center.core.events import BehaviorEvent
from streams.event_forms import Form

SAVED_EVERY_ROWS = 500
SAVED_EVERY_SECONDS = 1.0
MOST_UNSAVED_ROWS = 2_000
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class UnsavedRow:
    """A row behind the saved progress; both are None when it was not sent."""

    user_id: str | None = None
    future: Any = None


@dataclass(frozen=True)
class Limits:
    """Where an input begins and how much of it may be unsaved.

    Attributes:
        first: Rows that an earlier run has dealt with.
        events_of_a_user: Most unsaved events of one user.
    """

    first: int = 0
    events_of_a_user: int = 100


class EventSender:
    """Sends the events of one input in order.

    Args:
        producer: Connected to Kafka.
        topic: Topic of the events.
        limits: Where to begin, and how much may be unsaved.
        save: Called with the number of rows from the start that need no sending any more.
        warn: Called with a sentence while Kafka does not acknowledge.
    """

    def __init__(
        self,
        producer: KafkaProducer,
        topic: str,
        limits: Limits,
        save: Callable[[int], None],
        warn: Callable[[str], None],
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._events_of_a_user = limits.events_of_a_user
        self._base = limits.first
        self._save = save
        self._warn = warn
        self._unsaved: deque[UnsavedRow] = deque()
        self._per_user: Counter[str] = Counter()
        self._settled = 0
        self._saved_at = time.monotonic()
        self.n_sent = 0

    def pass_over(self) -> None:
        """Count a row that is not sent."""
        self._unsaved.append(UnsavedRow())
        self._save_when_due()

    def send(self, event: BehaviorEvent, form: Form) -> None:
        """Send the event of the next row.

        Raises:
            PushError: Kafka did not take an earlier event, or does not take this one.
        """
        user_id = event.user_id
        while self._per_user[user_id] >= self._events_of_a_user or self._is_full():
            self._wait_for_oldest()
            self._save_settled()
        value, headers = form
        try:
            future = self._producer.send(self._topic, value, key=user_id.encode(), headers=headers)
        except KafkaError as error:
            self.finish()
            raise PushError(f"event {event.event_id!r} was not sent: {error}") from error
        self._unsaved.append(UnsavedRow(user_id, future))
        self._per_user[user_id] += 1
        self._save_when_due()

    def finish(self) -> None:
        """Wait until everything is acknowledged, and save.

        Raises:
            PushError: Kafka did not acknowledge; the rows before that one are saved.
        """
        while self._settle():
            self._wait_for_oldest()
        self._save_settled()

    def stop(self, patience_seconds: float) -> None:
        """Save what is acknowledged within the time; the rest is sent again by the next run."""
        try:
            self._producer.flush(patience_seconds)
            self._settle()
        except (KafkaTimeoutError, PushError):
            self._warn("Kafka did not acknowledge the last events; the next run sends them again")
        self._save_settled()

    def _is_full(self) -> bool:
        return len(self._unsaved) >= MOST_UNSAVED_ROWS

    def _settle(self) -> int:
        """Walk over the acknowledged rows at the front; return how many rows are left behind them.

        Raises:
            PushError: The next row was refused; those before it are saved.
        """
        while self._settled < len(self._unsaved):
            future = self._unsaved[self._settled].future
            if future is not None and future.failed():
                self._save_settled()
                raise PushError(
                    f"Kafka did not acknowledge an event: {future.exception}",
                    hint="run the same command again: it goes on from there",
                ) from future.exception
            if future is not None and not future.succeeded():
                break
            self._settled += 1
        return len(self._unsaved) - self._settled

    def _wait_for_oldest(self) -> None:
        """Wait for the first row that is not acknowledged."""
        waiting_since = time.monotonic()
        if not self._settle():
            return
        future = self._unsaved[self._settled].future
        while not future.is_done:
            try:
                future.get(PATIENCE_SECONDS)
            except KafkaTimeoutError:
                seconds = time.monotonic() - waiting_since
                self._warn(f"Kafka does not acknowledge since {seconds:.0f} s, waiting")
            except KafkaError:
                break
        self._settle()

    def _save_when_due(self) -> None:
        waited = time.monotonic() - self._saved_at
        if len(self._unsaved) % SAVED_EVERY_ROWS == 0 or waited >= SAVED_EVERY_SECONDS:
            self._settle()
            self._save_settled()

    def _save_settled(self) -> None:
        """Save the rows at the front that need no sending any more."""
        rows = self._settled
        self._saved_at = time.monotonic()
        if not rows:
            return
        self._save(self._base + rows)
        for _ in range(rows):
            self._settled -= 1
            row = self._unsaved.popleft()
            # Last: if this is interrupted, a row is sent again, none is left out.
            self._base += 1
            if row.user_id is not None:
                self.n_sent += 1
                self._per_user[row.user_id] -= 1
                if not self._per_user[row.user_id]:
                    del self._per_user[row.user_id]
