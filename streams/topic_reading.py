"""Reads a partition of a topic from one offset to another, outside any group.

Private parts of aiokafka 0.14 are used here; ``tests/contract/test_faust_private_parts.py`` holds
them down.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from faust.types import TP

from interest_center.core.errors import ConfigurationError, TruncatedLogError
from interest_center.core.packed_records import Record
from interest_center.settings import Settings
from streams.record_runs import RUN_CONSUMER_OPTIONS, RecordRun, stop_consumer, wait_for_runs
from streams.topics import unreachable

RUN_RECORDS = 4000
SILENCE_SECONDS = 30.0
#: A fetch that was under way when the reader moved wakes nobody.
POLL_SECONDS = 0.2
_FETCH_BYTES = 4 << 20


class TopicReading:
    """A reader of committed records; use as an asynchronous context manager.

    Args:
        settings: Connection.
        topic: Name of the topic.
    """

    def __init__(self, settings: Settings, topic: str) -> None:
        self._settings = settings
        self._topic = topic

    async def __aenter__(self) -> Self:
        options = RUN_CONSUMER_OPTIONS | {"max_partition_fetch_bytes": _FETCH_BYTES}
        self._consumer = AIOKafkaConsumer(
            **self._settings.kafka_options(), **options, group_id=None
        )
        try:
            await self._consumer.start()
        except KafkaError as error:
            await stop_consumer(self._consumer)
            raise unreachable(self._settings, error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop_consumer(self._consumer)

    async def partitions(self) -> list[int]:
        """Return the numbers of the partitions.

        Raises:
            ConfigurationError: There is no such topic.
        """
        found = await self._consumer._client.fetch_all_metadata()
        numbers = found.partitions_for_topic(self._topic)
        if not numbers:
            raise ConfigurationError(
                f"topic {self._topic} is not there", hint="create it with `uic topics create`"
            )
        return sorted(numbers)

    async def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first offset that the partition holds, and its last stable one."""
        place = TopicPartition(self._topic, partition)
        starts = await self._consumer.beginning_offsets([place])
        ends = await self._consumer.end_offsets([place])
        return starts[place], ends[place]

    async def records(self, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        """Yield the committed records from ``start`` to before ``end``, some at a time.

        Raises:
            TruncatedLogError: The log no longer holds ``start``.
            KafkaUnreachableError: The broker has gone.
        """
        async for run in self.runs(partition, start, end):
            records = list(run.packed.records())
            if records:
                yield records

    async def runs(self, partition: int, start: int, end: int) -> AsyncIterator[RecordRun]:
        """Yield the runs from ``start`` to before ``end``.

        Raises:
            TruncatedLogError: The log no longer holds ``start``.
            KafkaUnreachableError: The broker has gone.
        """
        place = TopicPartition(self._topic, partition)
        wanted = {TP(self._topic, partition): RUN_RECORDS}
        self._consumer.assign([place])
        self._consumer.seek(place, start)
        position, heard_at = start, time.monotonic()
        while position < end:
            try:
                runs = await wait_for_runs(
                    self._consumer._fetcher, wanted, POLL_SECONDS, asyncio.Event()
                )
            except OffsetOutOfRangeError as error:
                raise TruncatedLogError(
                    f"partition {partition} no longer holds offset {start}"
                ) from error
            if runs:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > SILENCE_SECONDS:
                raise unreachable(self._settings, f"nothing of {place} in {SILENCE_SECONDS:g} s")
            for run in runs:
                run = run.until(end)
                position = run.next_position
                yield run
