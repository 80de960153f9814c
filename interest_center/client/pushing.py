"""Pushing events to Kafka: checked, keyed by their user, acknowledged by all replicas."""

import contextlib
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import msgspec
from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from interest_center.core.errors import BadRequestError, InterestCenterError
from interest_center.core.event_decoder import explain_invalid
from interest_center.core.events import MAX_ID_CHARS, BehaviorEvent
from interest_center.settings import Settings

FLUSH_SECONDS = 60.0
METADATA_SECONDS = 10.0
ABORT_SECONDS = 5.0
MAX_UNACKNOWLEDGED = 10_000
HOW_TO_START_KAFKA = "`uic broker start`, or set UIC_KAFKA_BOOTSTRAP_SERVERS to your cluster"


class PushError(InterestCenterError):
    """An event did not reach Kafka."""


class _EventFieldsRequired(TypedDict):
    user_id: str
    item_id: str
    event_type: str


class EventFields(_EventFieldsRequired, total=False):
    """Fields of an event to push; without ``event_id`` and time they are a new id and now."""

    event_id: str
    event_time_ms: int
    category_id: str | None
    page: int | None
    trigger_item_id: str | None
    price: float | None


@dataclass(frozen=True)
class Acknowledgement:
    """Where an acknowledged event lies in the events topic."""

    event_id: str
    partition: int
    offset: int


def open_producer(settings: Settings, **options: Any) -> KafkaProducer:
    """Connect an idempotent producer that waits for all replicas and never makes a topic.

    Args:
        settings: Connection and name of the events topic.
        options: More options of kafka-python.

    Raises:
        PushError: No broker answers, or there is no events topic.
    """
    try:
        producer = KafkaProducer(
            **settings.kafka_options(),
            acks="all",
            enable_idempotence=True,
            allow_auto_create_topics=False,
            max_block_ms=int(METADATA_SECONDS * 1000),
            bootstrap_timeout_ms=int(METADATA_SECONDS * 1000),
            **options,
        )
    except (KafkaError, OSError) as error:
        raise PushError(
            f"no Kafka at {settings.bootstrap_servers} ({error or type(error).__name__})",
            hint=HOW_TO_START_KAFKA,
        ) from error
    try:
        producer.partitions_for(settings.events_topic)
    except KafkaError as error:
        close_producer(producer)
        raise PushError(
            f"there is no topic {settings.events_topic} at {settings.bootstrap_servers} ({error})",
            hint="create it with `uic topics create`",
        ) from error
    return producer


def close_producer(producer: KafkaProducer) -> None:
    """Disconnect at once; the futures of what is not acknowledged fail.

    When there is such, ``close`` of kafka-python 3 raises before it has closed anything, and its
    thread goes on sending what the caller takes for lost.
    """
    try:
        producer.close(timeout=0)
    except KafkaTimeoutError:
        producer._sender.force_close()
        producer._sender.join(ABORT_SECONDS)
        with contextlib.suppress(KafkaTimeoutError):
            producer.close(timeout=0)


def check_event(fields: Mapping[str, Any]) -> BehaviorEvent:
    """Make an event of its fields.

    Raises:
        BadRequestError: A field is missing, wrong or unknown.
    """
    unknown = fields.keys() - set(BehaviorEvent.__struct_fields__)
    if unknown:
        name = min(unknown)
        raise BadRequestError(
            f"an event has no field {name}, it has {', '.join(BehaviorEvent.__struct_fields__)}",
            name,
        )
    try:
        event = msgspec.convert(fields, BehaviorEvent)
        # Lone surrogates are text to Python and nothing to UTF-8.
        msgspec.json.encode(event)
    except msgspec.ValidationError as error:
        bad = explain_invalid(str(error))
        raise BadRequestError(bad.detail, bad.field) from error
    except UnicodeEncodeError as error:
        raise BadRequestError(f"an id is not text: {error}", "event") from error
    return event


class EventPusher:
    """Pushes events; may be shared by threads. Connects at the first push.

    Args:
        settings: Where Kafka is and the name of the events topic.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._room = threading.BoundedSemaphore(MAX_UNACKNOWLEDGED)
        self._failures: list[Exception] = []

    def push(self, **fields: Unpack[EventFields]) -> "Future[Acknowledgement]":
        """Push one event; returns before Kafka has it.

        A program that retries a push on its own passes the same ``event_id`` again: the second
        one changes nothing.

        Args:
            fields: Fields of the event, see ``BehaviorEvent``.

        Returns:
            A future: ``result()`` waits for the acknowledgement of all replicas; in asyncio,
            ``await asyncio.wrap_future(...)``. A lost push raises ``PushError`` there and at the
            next ``flush``.

        Raises:
            BadRequestError: A field is missing or wrong.
            PushError: Kafka cannot be reached.
        """
        now_ms = time.time_ns() // 1_000_000
        event = check_event({"event_id": uuid.uuid4().hex, "event_time_ms": now_ms, **fields})
        return self._send(event.event_id, event.user_id, msgspec.json.encode(event))

    def push_many(self, events: Iterable[BehaviorEvent | EventFields]) -> int:
        """Push many events and wait until all are acknowledged; returns their number.

        Raises:
            BadRequestError: A field is missing or wrong; the events before it are pushed.
            PushError: Kafka cannot be reached, or some events were not acknowledged.
        """
        count = 0
        for event in events:
            fields = msgspec.structs.asdict(event) if isinstance(event, BehaviorEvent) else event
            self.push(**fields)
            count += 1
        self.flush()
        return count

    def erase(self, user_id: str) -> "Future[Acknowledgement]":
        """Erase everything that is known of a user, as of this place in the topic.

        Raises:
            BadRequestError: The user id is empty, too long, or no text.
            PushError: Kafka cannot be reached.
        """
        if not 1 <= len(user_id) <= MAX_ID_CHARS:
            raise BadRequestError(f"user_id has 1 to {MAX_ID_CHARS} characters", "user_id")
        try:
            user_id.encode()
        except UnicodeEncodeError as error:
            raise BadRequestError(f"user_id is not text: {error}", "user_id") from error
        return self._send("", user_id, None)

    def flush(self, timeout_seconds: float = FLUSH_SECONDS) -> None:
        """Wait until every push is acknowledged.

        Raises:
            PushError: It took too long, or a push since the last flush was not acknowledged.
        """
        if self._producer is not None:
            try:
                self._producer.flush(timeout_seconds)
            except KafkaTimeoutError as error:
                raise PushError(
                    f"not every push was acknowledged within {timeout_seconds:g} s",
                    hint=HOW_TO_START_KAFKA,
                ) from error
        failures, self._failures = self._failures, []
        if failures:
            raise PushError(
                f"{len(failures)} pushes were not acknowledged, first: {failures[0]}",
                hint="push them again with the same event ids; doubles change nothing",
            ) from failures[0]

    def close(self, timeout_seconds: float = FLUSH_SECONDS) -> None:
        """Wait for pending pushes and disconnect; what then is not acknowledged is given up.

        Raises:
            PushError: A push was not acknowledged.
        """
        try:
            self.flush(timeout_seconds)
        finally:
            if self._producer is not None:
                close_producer(self._producer)
                self._producer = None

    def _send(self, event_id: str, user_id: str, value: bytes | None) -> "Future[Acknowledgement]":
        producer = self._connected()
        self._room.acquire()
        pushed: Future[Acknowledgement] = Future()
        # What is on its way cannot be called back, also when ``asyncio.wait_for`` gives up on it.
        pushed.set_running_or_notify_cancel()

        def acknowledged(metadata: Any) -> None:
            self._room.release()
            pushed.set_result(Acknowledgement(event_id, metadata.partition, metadata.offset))

        def failed(error: Exception) -> None:
            self._room.release()
            self._failures.append(error)
            lost = PushError(f"event {event_id!r} was not acknowledged: {error}")
            pushed.set_exception(lost)

        try:
            sent = producer.send(self._settings.events_topic, value, user_id.encode())
        except KafkaError as error:
            self._room.release()
            raise PushError(f"event {event_id!r} was not pushed: {error}") from error
        sent.add_callback(acknowledged)
        sent.add_errback(failed)
        return pushed

    def _connected(self) -> KafkaProducer:
        with self._lock:
            if self._producer is None:
                self._producer = open_producer(self._settings)
            return self._producer
