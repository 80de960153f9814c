"""Whether the event log is still the one that a state was computed from, and how far it reaches.

Ids of cluster and topic tell a recreated topic; the re-read last record tells a log that was
restored or rewritten under the same ids; start and end tell what retention took.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError
from faust.types import TP

from interest_center.center import PartitionCenter
from interest_center.core.errors import LogMismatchError, TruncatedLogError
from interest_center.core.events import record_checksum
from interest_center.settings import Settings
from streams.record_runs import stop_consumer, wait_for_runs

log = structlog.get_logger(__name__)

READ_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.5
AFRESH = "to start afresh from the topic as it is now: `uic worker --fresh`"


@dataclass(frozen=True)
class LogBounds:
    """What a partition's log holds.

    Attributes:
        start: First offset.
        end: Last stable offset: ``read_committed`` cannot read further now.
    """

    start: int
    end: int


class LogReader:
    """Looks single records up, outside the consumer group.

    Args:
        settings: Connection and topic.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.events_topic
        self._consumer: AIOKafkaConsumer | None = None
        self._one_at_a_time = asyncio.Lock()

    async def stop(self) -> None:
        """Close the connection."""
        if self._consumer is not None:
            await stop_consumer(self._consumer)
            self._consumer = None

    async def bounds(self, partition: int) -> LogBounds:
        """Return where a partition's log starts and ends."""
        place = TopicPartition(self._topic, partition)
        async with self._one_at_a_time:
            consumer = await self._started()
            starts = await consumer.beginning_offsets([place])
            ends = await consumer.end_offsets([place])
        return LogBounds(starts[place], ends[place])

    async def ends(self, partitions: Sequence[int]) -> dict[int, int]:
        """Return the last stable offset of some partitions.

        Raises:
            KafkaError: The broker does not say, or not soon.
        """
        places = [TopicPartition(self._topic, partition) for partition in partitions]
        async with self._one_at_a_time:
            consumer = await self._started()
            try:
                ends = await asyncio.wait_for(consumer.end_offsets(places), READ_TIMEOUT_SECONDS)
            except TimeoutError as error:
                raise KafkaTimeoutError from error
        return {place.partition: end for place, end in ends.items()}

    async def first_record_from(self, partition: int, position: int, end: int) -> Any | None:
        """Return the first committed record between two offsets, None when there is none.

        Raises:
            KafkaTimeoutError: The broker does not say in time.
        """
        place = TopicPartition(self._topic, partition)
        deadline = asyncio.get_running_loop().time() + READ_TIMEOUT_SECONDS
        async with self._one_at_a_time:
            consumer = await self._started()
            consumer.assign([place])
            consumer.seek(place, position)
            wanted = {TP(self._topic, partition): 1}
            while asyncio.get_running_loop().time() < deadline:
                for run in await wait_for_runs(
                    consumer._fetcher, wanted, POLL_SECONDS, asyncio.Event()
                ):
                    record = next(run.packed.records(), None)
                    if record is not None:
                        return record
                    if run.next_position >= end:
                        return None
        raise KafkaTimeoutError(f"no record of {place} from {position} on in time")

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **self._settings.kafka_options(),
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="none",
                isolation_level="read_committed",
                max_partition_fetch_bytes=64 << 10,
                fetch_max_wait_ms=100,
            )
            try:
                await consumer.start()
            except KafkaError:
                await stop_consumer(consumer)
                raise
            self._consumer = consumer
        return self._consumer


async def check_log(
    center: PartitionCenter, partition: int, reader: LogReader, accept_truncated: bool
) -> LogBounds:
    """Make sure that the log goes on where a state ends.

    Args:
        center: The state; moved on to the start of the log when a truncation is accepted.
        partition: Its partition.
        reader: Of the log.
        accept_truncated: Whether lost events are accepted.

    Returns:
        The bounds of the log.

    Raises:
        LogMismatchError: It is another log, or it was cut at its end.
        TruncatedLogError: It starts after the next event needed.
        KafkaError: The broker does not say.
    """
    bounds = await reader.bounds(partition)
    position = center.watermark
    if bounds.end < position:
        raise LogMismatchError(
            f"partition {partition}: the log ends at {bounds.end}, the state is at {position}",
            hint=f"the log lost records or was replaced; {AFRESH}",
        )
    if bounds.start > position:
        if not accept_truncated:
            raise TruncatedLogError(
                f"partition {partition}: the log starts at {bounds.start}, "
                f"the next event needed is {position}",
                hint="restart with --accept-truncated-history to go on without the lost events",
            )
        log.warning("history_truncated", partition=partition, lost_from=position, to=bounds.start)
        center.begin_at(bounds.start)
        return bounds
    await check_last_record(center, partition, reader, bounds)
    return bounds


async def check_last_record(
    center: PartitionCenter, partition: int, reader: LogReader, bounds: LogBounds
) -> None:
    """Re-read the last consumed record and compare its checksum.

    Raises:
        LogMismatchError: It is another record, or it is gone.
        KafkaError: The broker does not say.
    """
    if center.last_record is None:
        return
    offset, checksum = center.last_record
    if offset < bounds.start:
        return  # Retention took it, which says nothing against the records after it.
    record = await reader.first_record_from(partition, offset, bounds.end)
    if (
        record is None
        or record.offset != offset
        or record_checksum(record.key, record.value, record.timestamp) != checksum
    ):
        raise LogMismatchError(
            f"partition {partition}: the record at {offset} is not the one that was consumed",
            hint=f"the log was replaced under the same name; {AFRESH}",
        )
