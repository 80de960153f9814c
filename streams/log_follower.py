"""Reads a partition's log outside the group into a copy, up to a bound that moves.

For copies that are not (yet) the one in use: a memory that is rebuilt, a warm standby. They apply
nothing that a copy in use has not applied before them, so they have no dead letters to write.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from interest_center.center import PartitionCenter
from interest_center.core.meta import LogIdentity
from streams.kafka_patience import RETRY_SECONDS, passes
from streams.log_identity import LogBounds
from streams.record_runs import RUN_CONSUMER_OPTIONS, RecordRun, stop_consumer, wait_for_runs
from streams.worker_tools import WorkerTools

log = structlog.get_logger(__name__)

RUN_RECORDS = 2_000
WAIT_SECONDS = 1.0
#: Between two looks whether the bound has moved.
LEVEL_SECONDS = 0.05

T = TypeVar("T")


class LogFollower:
    """Applies a log to a copy.

    Args:
        identity: The log.
        tools: Shared by all partitions.
        bound: Returns the offset before which events may be applied now.
        purpose: Of the copy, for the log.
    """

    def __init__(
        self, identity: LogIdentity, tools: WorkerTools, bound: Callable[[], int], purpose: str
    ) -> None:
        self._identity = identity
        self._tools = tools
        self._bound = bound
        self._purpose = purpose
        self._job: asyncio.Future[Any] | None = None
        self._place = TopicPartition(identity.topic, identity.partition)

    async def patiently(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Ask the broker until it answers."""
        while True:
            try:
                return await ask()
            except KafkaError as error:
                await self._wait_after(error)

    async def bounds(self) -> LogBounds:
        """Return what the log holds, as soon as the broker says it."""
        return await self.patiently(lambda: self._tools.reader.bounds(self._identity.partition))

    async def follow(self, center: PartitionCenter, is_enough: Callable[[], bool]) -> None:
        """Apply what comes, until it is enough.

        Raises:
            OffsetOutOfRangeError: The log no longer holds what the copy needs next.
        """
        while not is_enough():
            consumer = AIOKafkaConsumer(
                **self._tools.settings.kafka_options(), **RUN_CONSUMER_OPTIONS, group_id=None
            )
            try:
                await consumer.start()
                consumer.assign([self._place])
                consumer.seek(self._place, center.watermark)
                while not is_enough():
                    await self._step(consumer, center)
            except KafkaError as error:
                await self._wait_after(error)
            finally:
                await stop_consumer(consumer)

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Run a function in a worker thread; ``at_rest`` waits for it."""
        job = asyncio.get_running_loop().run_in_executor(self._tools.threads, function, *args)
        self._job = job
        return await asyncio.shield(job)

    async def at_rest(self) -> object:
        """Wait for what still runs in a thread after its caller was cancelled.

        Returns:
            What the last function returned; None when it failed, or when there was none.
        """
        if self._job is None:
            return None
        await asyncio.wait({self._job})
        return None if self._job.exception() else self._job.result()

    async def _wait_after(self, error: KafkaError) -> None:
        """Wait after an error that passes by itself; raise any other."""
        if not passes(error):
            raise error
        log.warning(
            "follower_waits",
            purpose=self._purpose,
            partition=self._place.partition,
            error=repr(error),
        )
        await asyncio.sleep(RETRY_SECONDS)

    async def _step(self, consumer: AIOKafkaConsumer, center: PartitionCenter) -> None:
        end = self._bound()
        if center.watermark >= end:
            await asyncio.sleep(LEVEL_SECONDS)
            return
        wanted = {TP(self._place.topic, self._place.partition): RUN_RECORDS}
        for run in await wait_for_runs(consumer._fetcher, wanted, WAIT_SECONDS, asyncio.Event()):
            await self.in_thread(self._apply, center, run.until(end))
            if run.next_position > end:
                consumer.seek(self._place, end)

    def _apply(self, center: PartitionCenter, run: RecordRun) -> None:
        center.apply(
            self._tools.decoder.decode(
                self._identity.partition, run.packed, run.start_position, run.next_position
            )
        )
        center.write_due()
