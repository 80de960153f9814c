"""Memories of new weights, built in a copy beside the one in use, which they replace when level.

Until then the partition goes on without memory and says so. The build replays the topic from its
start, or from a snapshot that holds memories of these weights; after a restart it goes on.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from faust.types import TP

from interest_center.center import PartitionCenter
from interest_center.core.meta import LogIdentity
from streams.copies import PartitionFiles
from streams.kafka_patience import RETRY_SECONDS, passes
from streams.log_identity import LogBounds
from streams.record_runs import RUN_CONSUMER_OPTIONS, RecordRun, stop_consumer, wait_for_runs
from streams.worker_tools import WorkerTools

log = structlog.get_logger(__name__)

#: Nearer than this to the copy in use, it is worth pausing that one for the switch.
NEAR_OFFSETS = 5_000
RUN_RECORDS = 2_000
WAIT_SECONDS = 1.0
#: Between two looks whether the copy in use has gone on.
LEVEL_SECONDS = 0.05

T = TypeVar("T")


class MemoryRebuild:
    """Builds a second copy of one partition, with memories.

    Args:
        identity: The log.
        tools: Shared by all partitions.
        files: Of the partition.
        in_use: Copy that answers meanwhile.
    """

    def __init__(
        self,
        identity: LogIdentity,
        tools: WorkerTools,
        files: PartitionFiles,
        in_use: PartitionCenter,
    ) -> None:
        updater = tools.rules.updater
        assert updater is not None
        self.copy = files.memory_copy(updater.fingerprint)
        self.is_near = asyncio.Event()
        #: The topic no longer holds the history that the memories would be built from.
        self.is_impossible = False
        self._identity = identity
        self._tools = tools
        self._in_use = in_use
        self._goal: int | None = None
        self._center: PartitionCenter | None = None
        self._job: asyncio.Future[Any] | None = None
        self._running: asyncio.Task[PartitionCenter | None] | None = None
        self._place = TopicPartition(identity.topic, identity.partition)

    def start(self, ended: Callable[["asyncio.Task[Any]"], None]) -> None:
        """Begin, or go on with a build that was abandoned.

        Args:
            ended: Told of the end, whatever it is.
        """
        self._running = asyncio.create_task(self._run())
        self._running.add_done_callback(ended)

    async def finish(self, at_least: int) -> PartitionCenter:
        """End the build at this position or later, and return the copy with memories."""
        assert self._running is not None
        self._goal = at_least
        rebuilt = await asyncio.shield(self._running)
        assert rebuilt is not None
        if rebuilt.watermark < at_least:
            # An earlier call was given up, and the copy in use has gone on since.
            if self._job is not None:
                await asyncio.wait({self._job})
            await self._replay(rebuilt)
            await self._in_thread(rebuilt.checkpoint)
        return rebuilt

    async def abandon(self) -> None:
        """Stop and release the copy; a later build goes on from it."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        if self._job is not None:
            await asyncio.wait({self._job})
            if self._center is None and not self._job.exception():
                opened = self._job.result()
                self._center = opened if isinstance(opened, PartitionCenter) else None
        if self._center is not None:
            await self._in_thread(self._center.checkpoint)
            await self._in_thread(self._center.close)

    async def _run(self) -> PartitionCenter | None:
        """Replay until the goal of ``finish`` is reached.

        Returns:
            The copy; None when the topic no longer holds the history of the copy in use, so that
            memories cannot be built from it.
        """
        self._center = center = await self._in_thread(self._open)
        bounds = await self._bounds()
        if bounds.start > max(center.watermark, self._in_use.counters.start_position):
            await self._renounce(center)
            return None
        if center.is_empty and bounds.start > 0:
            center.begin_at(bounds.start)
        log.info(
            "memory_build_starts", partition=self._identity.partition, position=center.watermark
        )
        try:
            await self._replay(center)
        except OffsetOutOfRangeError:
            await self._renounce(center)
            return None
        await self._in_thread(center.checkpoint)
        return center

    async def _renounce(self, center: PartitionCenter) -> None:
        """Go on without memories, and say so."""
        self.is_impossible = True
        self.is_near.clear()
        log.error(
            "memory_cannot_be_built",
            partition=self._identity.partition,
            why="the topic no longer holds the history; ranking goes on without memory",
            next="bring the former bundle back, or keep more of the topic (UIC_RETENTION_MS)",
        )
        self._center = None
        await self._in_thread(center.close)

    def _open(self) -> PartitionCenter:
        rules = self._tools.rules
        if not self.copy.exists():
            self.copy.parent.mkdir(parents=True, exist_ok=True)
            snapshots = rules.snapshots(self._identity)
            if snapshots is not None:
                snapshots.restore(self.copy, rules.memory_fingerprint, self._in_use.watermark)
        return rules.center(self.copy, self._identity)

    async def _bounds(self) -> LogBounds:
        while True:
            try:
                return await self._tools.reader.bounds(self._identity.partition)
            except KafkaError as error:
                await self._wait_after(error)

    async def _wait_after(self, error: KafkaError) -> None:
        """Wait after an error that passes by itself; raise any other."""
        if not passes(error):
            raise error
        log.warning("memory_build_waits", partition=self._place.partition, error=repr(error))
        await asyncio.sleep(RETRY_SECONDS)

    async def _replay(self, center: PartitionCenter) -> None:
        while self._goal is None or center.watermark < self._goal:
            consumer = AIOKafkaConsumer(
                **self._tools.settings.kafka_options(), **RUN_CONSUMER_OPTIONS, group_id=None
            )
            try:
                await consumer.start()
                consumer.assign([self._place])
                consumer.seek(self._place, center.watermark)
                while self._goal is None or center.watermark < self._goal:
                    await self._step(consumer, center)
            except KafkaError as error:
                await self._wait_after(error)
            finally:
                await stop_consumer(consumer)

    async def _step(self, consumer: AIOKafkaConsumer, center: PartitionCenter) -> None:
        """Apply what comes next, but never more than the copy in use has applied.

        Dead letters are written when the copy in use meets them; beyond it nobody has yet.
        """
        end = self._in_use.watermark
        if center.watermark >= end - NEAR_OFFSETS:
            self.is_near.set()
        if center.watermark >= end:
            await asyncio.sleep(LEVEL_SECONDS)
            return
        wanted = {TP(self._place.topic, self._place.partition): RUN_RECORDS}
        for run in await wait_for_runs(consumer._fetcher, wanted, WAIT_SECONDS, asyncio.Event()):
            await self._in_thread(self._apply, center, run.until(end))
            if run.next_position > end:
                consumer.seek(self._place, end)

    def _apply(self, center: PartitionCenter, run: RecordRun) -> None:
        center.apply(
            self._tools.decoder.decode(
                self._identity.partition, run.packed, run.start_position, run.next_position
            )
        )
        while center.needs_checkpoint():
            center.checkpoint()

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Run a function in a worker thread; ``abandon`` waits for it."""
        job = asyncio.get_running_loop().run_in_executor(self._tools.threads, function, *args)
        self._job = job
        return await asyncio.shield(job)
