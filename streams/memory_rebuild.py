"""Memories of new weights, built in a copy beside the one in use, which they replace when level.

Until then the partition goes on without memory and says so. The build replays the topic from its
start, or from a snapshot that holds memories of these weights; after a restart it goes on.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka.errors import OffsetOutOfRangeError

from interest_center.center import PartitionCenter
from interest_center.core.meta import LogIdentity
from streams.copies import PartitionFiles
from streams.log_follower import LogFollower
from streams.worker_tools import WorkerTools

log = structlog.get_logger(__name__)

#: Nearer than this to the copy in use, it is worth pausing that one for the switch.
NEAR_OFFSETS = 5_000


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
        self._running: asyncio.Task[PartitionCenter | None] | None = None
        self._follower = LogFollower(identity, tools, self._bound, "memory")

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
            await self._follower.at_rest()
            await self._follow(rebuilt)
        return rebuilt

    async def abandon(self) -> None:
        """Stop and release the copy; a later build goes on from it."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        opened = await self._follower.at_rest()
        if self._center is None and isinstance(opened, PartitionCenter):
            self._center = opened
        if self._center is not None:
            await self._follower.in_thread(self._center.checkpoint)
            await self._follower.in_thread(self._center.close)

    async def _run(self) -> PartitionCenter | None:
        """Replay until the goal of ``finish`` is reached.

        Returns:
            The copy; None when the topic no longer holds the history of the copy in use, so that
            memories cannot be built from it.
        """
        self._center = center = await self._follower.in_thread(self._open)
        bounds = await self._follower.bounds()
        if bounds.start > max(center.watermark, self._in_use.counters.start_position):
            await self._renounce(center)
            return None
        if center.is_empty and bounds.start > 0:
            center.begin_at(bounds.start)
        log.info(
            "memory_build_starts", partition=self._identity.partition, position=center.watermark
        )
        try:
            await self._follow(center)
        except OffsetOutOfRangeError:
            await self._renounce(center)
            return None
        return center

    async def _follow(self, center: PartitionCenter) -> None:
        await self._follower.follow(
            center, lambda: self._goal is not None and center.watermark >= self._goal
        )
        await self._follower.in_thread(center.checkpoint)

    def _bound(self) -> int:
        """Return where the copy in use is: beyond it nobody has written dead letters yet."""
        end = self._in_use.watermark
        if self._center is not None and self._center.watermark >= end - NEAR_OFFSETS:
            self.is_near.set()
        return end

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
        await self._follower.in_thread(center.close)

    def _open(self) -> PartitionCenter:
        rules = self._tools.rules
        if not self.copy.exists():
            self.copy.parent.mkdir(parents=True, exist_ok=True)
            snapshots = rules.snapshots(self._identity)
            if snapshots is not None:
                snapshots.restore(self.copy, rules.memory_fingerprint, self._in_use.watermark)
        return rules.center(self.copy, self._identity)
