"""The lag measured outside the worker: ends and append times from Kafka, positions from workers.

Records: last stable offset minus the position that the worker says it has applied. Seconds: now
minus the append time of the first record not yet applied, looked up in Kafka itself; 0 if none.
"""

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CoordinatorNotAvailableError, CorruptRecordError, KafkaError

from interest_center.core.errors import ConfigurationError
from interest_center.settings import Settings
from streams.topics import check_reachable, open_admin, unreachable

KAFKA_TIMEOUT_MS = 5000
WORKER_TIMEOUT_SECONDS = 2.0
#: How long to wait for a record after the position; past it, only markers are there.
RECORD_TIMEOUT_MS = 1000

# The workers are neighbours: a proxy of the environment is not asked.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Position:
    """How far a partition's state is.

    Attributes:
        applied: Next offset to apply.
        durable: The same for the state on disk.
        source: Who says so: ``worker``, or ``group`` (the committed offset, which is behind).
        phase: What the worker does with the partition; None when no worker answers.
        owner_url: The worker.
    """

    applied: int
    durable: int | None
    source: str
    phase: str | None = None
    owner_url: str | None = None


@dataclass(frozen=True)
class PartitionLag:
    """The lag of one partition.

    Attributes:
        partition: Its number.
        end: Last stable offset.
        position: How far its state is, None when nobody knows.
        records: Offsets not yet applied; markers of transactions are counted too.
        seconds: Now minus the append time of the first record not yet applied, 0 if none.
        durable_records: Offsets that a crash now would replay.
    """

    partition: int
    end: int
    position: Position | None
    records: int | None
    seconds: float | None
    durable_records: int | None


@dataclass(frozen=True)
class Lag:
    """The lag of all partitions at one moment."""

    at_seconds: float
    partitions: list[PartitionLag]

    @property
    def records(self) -> int | None:
        """Offsets not yet applied, over all partitions; None when one is not known."""
        known = [one.records for one in self.partitions if one.records is not None]
        return sum(known) if len(known) == len(self.partitions) else None

    @property
    def seconds(self) -> float | None:
        """The largest lag of a partition; None when one is not known."""
        known = [one.seconds for one in self.partitions if one.seconds is not None]
        return max(known) if len(known) == len(self.partitions) else None

    @property
    def applied(self) -> int:
        """Sum of the positions, for a rate."""
        return sum(one.position.applied for one in self.partitions if one.position)

    @property
    def without_worker(self) -> list[int]:
        """Partitions that no worker answered for."""
        return [
            one.partition
            for one in self.partitions
            if one.position is None or one.position.source != "worker"
        ]


@dataclass(frozen=True)
class FirstRecord:
    """The first committed record from a position on; there is none between the two offsets."""

    looked_from: int
    offset: int
    appended_seconds: float


class LagProbe:
    """Measures the lag, again and again over the same connections.

    Args:
        settings: Kafka, topic, group and the URLs of the workers.

    Raises:
        KafkaUnreachableError: No broker answers.
        ConfigurationError: The events topic is not there.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.events_topic
        self._first_records: dict[TopicPartition, FirstRecord] = {}
        check_reachable(settings)
        try:
            self._consumer = KafkaConsumer(
                **settings.kafka_options(),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                max_poll_records=1,
                max_partition_fetch_bytes=64 << 10,
                request_timeout_ms=KAFKA_TIMEOUT_MS,
            )
        except (KafkaError, OSError) as error:
            raise unreachable(settings, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def measure(self) -> Lag:
        """Measure the lag of every partition now.

        Raises:
            KafkaUnreachableError: The broker has gone.
            ConfigurationError: The events topic is not there.
        """
        try:
            numbers = self._consumer.partitions_for_topic(self._topic)
            if not numbers:
                raise ConfigurationError(
                    f"topic {self._topic} is not there",
                    hint="create the topics with `uic topics create`",
                )
            positions = self._positions(len(numbers))
            places = [TopicPartition(self._topic, number) for number in sorted(numbers)]
            ends = self._consumer.end_offsets(places, timeout_ms=KAFKA_TIMEOUT_MS)
            lags = [self._lag(place, ends[place], positions) for place in places]
        except (KafkaError, OSError) as error:
            raise unreachable(self._settings, error) from error
        return Lag(time.time(), lags)

    def _positions(self, n_partitions: int) -> dict[int, Position]:
        """Return what the workers say; for partitions without one, what the group committed."""
        said = positions_of_workers(self._settings.worker_urls.split(","))
        missing = set(range(n_partitions)) - set(said)
        if missing:
            committed = self._committed()
            said |= {number: committed[number] for number in missing & set(committed)}
        return said

    def _committed(self) -> dict[int, Position]:
        admin = open_admin(self._settings)
        try:
            found = admin.list_group_offsets({self._settings.group: None})
        except CoordinatorNotAvailableError:
            # No group has ever committed in this cluster.
            return {}
        finally:
            admin.close()
        return {
            place.partition: Position(stored.offset, None, "group")
            for place, stored in found.get(self._settings.group, {}).items()
            if place.topic == self._topic and stored.offset >= 0
        }

    def _lag(self, place: TopicPartition, end: int, positions: dict[int, Position]) -> PartitionLag:
        position = positions.get(place.partition)
        if position is None:
            return PartitionLag(place.partition, end, None, None, None, None)
        records = max(0, end - position.applied)
        seconds = self._seconds(place, position.applied, end) if records else 0.0
        return PartitionLag(
            place.partition,
            end,
            position,
            records,
            seconds,
            max(0, end - position.durable) if position.durable is not None else None,
        )

    def _seconds(self, place: TopicPartition, position: int, end: int) -> float | None:
        """Return how long the first committed record from a position on has waited.

        Returns:
            0 when only markers are left, None when it cannot be known now.
        """
        known = self._first_records.get(place)
        if known is None or not known.looked_from <= position <= known.offset:
            self._consumer.assign([place])
            self._consumer.seek(place, position)
            try:
                polled = self._consumer.poll(timeout_ms=RECORD_TIMEOUT_MS, max_records=1)
            except (CorruptRecordError, UnicodeDecodeError):
                return None  # A record that the worker reads and kafka-python does not.
            if not polled:
                return 0.0 if self._consumer.position(place) >= end else None
            record = polled[place][0]
            known = FirstRecord(position, record.offset, record.timestamp / 1000)
            self._first_records[place] = known
        return max(0.0, time.time() - known.appended_seconds)


def positions_of_workers(urls: list[str]) -> dict[int, Position]:
    """Ask the workers, and those that they name, how far their partitions are."""
    due = [url.strip().rstrip("/") for url in urls if url.strip()]
    asked: set[str] = set()
    found: dict[int, Position] = {}
    while due:
        url = due.pop()
        if url in asked:
            continue
        asked.add(url)
        for status in statuses_of_worker(url):
            if status["mine"] and status.get("position") is not None:
                found[status["partition"]] = Position(
                    status["position"],
                    status.get("durable_watermark"),
                    "worker",
                    status.get("phase"),
                    url,
                )
            elif status.get("owner_url"):
                due.append(status["owner_url"].rstrip("/"))
    return found


def statuses_of_worker(url: str) -> list[dict[str, Any]]:
    """Return ``GET /v1/partitions`` of one worker; nothing when it does not answer."""
    try:
        with _OPENER.open(f"{url}/v1/partitions", timeout=WORKER_TIMEOUT_SECONDS) as answer:
            return list(json.load(answer)["partitions"])
    except (OSError, ValueError, KeyError):
        return []
