"""Warm standbys: copies of partitions that other workers own, kept near them.

A standby applies what the owner has committed to the group, and nothing else: those events are
durable at the owner and their dead letters acknowledged, so whoever takes over has none to write.
When the partition is assigned to this worker, its owner goes on with the open copy; what is left to
replay is what came since the last commit, a second or two.

Which worker keeps which standby is said by Faust's assignor, which also promotes it when the owner
leaves. A standby that cannot go on is given up, with a word in the log: it stops no worker.
"""

import asyncio
import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, KafkaTimeoutError, OffsetOutOfRangeError

from interest_center import metrics
from interest_center.center import PartitionCenter
from interest_center.core.errors import DAMAGED, StoreError, TruncatedLogError
from interest_center.core.meta import LogIdentity
from streams.copies import PartitionFiles, open_copy
from streams.log_follower import LogFollower
from streams.log_identity import check_log
from streams.worker_tools import WorkerTools

log = structlog.get_logger(__name__)

LOOK_SECONDS = 10.0


class StandbyPartition:
    """A copy of one partition that another worker owns.

    Args:
        identity: The log.
        tools: Shared by all partitions.
        after: The end of an earlier life of this partition, which still holds the copy.
    """

    def __init__(
        self,
        identity: LogIdentity,
        tools: WorkerTools,
        after: "asyncio.Task[None] | None" = None,
    ) -> None:
        #: What the owner has committed, when last asked.
        self.committed = 0
        self._identity = identity
        self._tools = tools
        self._files = PartitionFiles(tools.settings.states, identity.partition)
        self._follower = LogFollower(identity, tools, lambda: self.committed, "standby")
        self._center: PartitionCenter | None = None
        self._is_given_up = False
        self._after = after
        self._running = asyncio.create_task(self._run())

    @property
    def position(self) -> int | None:
        """Next offset to apply; None while there is no copy."""
        return None if self._center is None else self._center.watermark

    @property
    def lag(self) -> float:
        """Offsets that the owner has committed and this copy lacks; infinite without a copy."""
        position = self.position
        return math.inf if position is None else max(0, self.committed - position)

    async def hand_over(self) -> PartitionCenter | None:
        """Stop, and return the open copy; None when there is none."""
        self._running.cancel()
        await asyncio.wait({self._running})
        opened = await self._follower.at_rest()
        if self._center is None and isinstance(opened, PartitionCenter) and not self._is_given_up:
            self._center = opened
        center, self._center = self._center, None
        return center

    async def close(self) -> None:
        """Stop, and release the copy; an earlier life of the partition has released it too then."""
        center = await self.hand_over()
        if self._after is not None:
            await asyncio.wait({self._after})
        if center is not None:
            with suppress(StoreError, *DAMAGED):  # What is not durable is in the log.
                await self._follower.in_thread(center.checkpoint)
            await self._follower.in_thread(center.close)

    async def _run(self) -> None:
        if self._after is not None:
            await asyncio.wait({self._after})
        try:
            await self._stand_by()
        except Exception as error:  # No reason to stop the worker, which answers for others.
            await self._give_up(error)

    async def _stand_by(self) -> None:
        """Open the copy and follow the log for ever."""
        number = self._identity.partition
        await self._follower.in_thread(self._tools.warm_up.wait)
        bounds = await self._follower.bounds()
        self._center = center = await self._follower.in_thread(
            open_copy, self._files, self._tools.rules, self._identity, bounds.end
        )
        try:
            await self._check(center)
        except TruncatedLogError:
            # Its own copy is too old; the owner's snapshots are not.
            self._center = None
            await self._follower.in_thread(center.close)
            await self._follower.in_thread(self._set_aside)
            self._center = center = await self._follower.in_thread(
                open_copy, self._files, self._tools.rules, self._identity, bounds.end
            )
            await self._check(center)
        log.info("standby_follows", partition=number, position=center.watermark)
        await self._follower.follow(center, lambda: False)

    async def _check(self, center: PartitionCenter) -> None:
        """Make sure that the log goes on where a copy ends; nothing that it lacks is accepted."""
        number, reader = self._identity.partition, self._tools.reader
        await self._follower.patiently(
            lambda: check_log(center, number, reader, accept_truncated=False)
        )

    def _set_aside(self) -> None:
        copy = self._files.current()
        if copy is not None:
            self._files.set_aside(copy)

    async def _give_up(self, error: Exception) -> None:
        """Release the copy; one that is no start is set aside, so that a takeover has a better."""
        self._is_given_up = True
        center, self._center = self._center, None
        if center is not None:
            with suppress(StoreError):
                await self._follower.in_thread(center.close)
        if isinstance(error, (*DAMAGED, TruncatedLogError, OffsetOutOfRangeError)):
            with suppress(OSError):
                await self._follower.in_thread(self._set_aside)
        if isinstance(error, DAMAGED):
            metrics.DAMAGED_COPIES.inc()
        log.error(
            "standby_given_up",
            partition=self._identity.partition,
            why="the log no longer holds what it needs next"
            if isinstance(error, OffsetOutOfRangeError)
            else f"{type(error).__name__}: {error}",
            next="the partition is served by its owner; a takeover starts from a copy or snapshot",
        )


class Standbys:
    """The standbys of a worker.

    Args:
        tools: Shared by all partitions.
        identities: The log of each partition.
    """

    def __init__(self, tools: WorkerTools, identities: list[LogIdentity]) -> None:
        self._tools = tools
        self._identities = identities
        self._kept: dict[int, StandbyPartition] = {}
        self._admin: AIOKafkaAdminClient | None = None

    def position(self, partition: int) -> int | None:
        """Return how far the standby of a partition is; None without one."""
        standby = self._kept.get(partition)
        return None if standby is None else standby.position

    def take(self, partition: int) -> StandbyPartition | None:
        """Take a standby out, to close it or to go on with its copy."""
        standby = self._kept.pop(partition, None)
        if standby is not None:
            metrics.STANDBY_LAG_RECORDS.remove(str(partition))
        return standby

    def others_than(self, partitions: Iterable[int]) -> set[int]:
        """Return the partitions that have a standby here and are not among these."""
        return set(self._kept) - set(partitions)

    def keep(self, partition: int, after: "asyncio.Task[None] | None") -> None:
        """Keep a standby of a partition from now on.

        Args:
            partition: Which.
            after: The end of an earlier life of the partition here.
        """
        if partition not in self._kept:
            self._kept[partition] = StandbyPartition(
                self._identities[partition], self._tools, after
            )
            metrics.STANDBY_LAG_RECORDS.labels(str(partition)).set(math.inf)

    async def look(self) -> None:
        """Learn how far the owners are.

        Raises:
            KafkaError: The broker does not say.
        """
        if not self._kept:
            return
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                found = await self._group_offsets(list(self._kept))
        except (KafkaError, TimeoutError) as error:
            await self.stop()
            raise KafkaTimeoutError from error
        for place, stored in found.items():
            standby = self._kept.get(place.partition)
            if standby is not None:
                standby.committed = max(standby.committed, stored.offset)
                metrics.STANDBY_LAG_RECORDS.labels(str(place.partition)).set(standby.lag)

    async def stop(self) -> None:
        """Close the connection to the broker."""
        if self._admin is not None:
            await self._admin.close()
            self._admin = None

    async def _group_offsets(self, partitions: list[int]) -> dict[TopicPartition, Any]:
        settings = self._tools.settings
        if self._admin is None:
            admin = AIOKafkaAdminClient(**settings.kafka_options())
            try:
                await admin.start()
            except KafkaError:
                await admin.close()
                raise
            self._admin = admin
        places = [TopicPartition(settings.events_topic, number) for number in partitions]
        found: dict[TopicPartition, Any] = await self._admin.list_consumer_group_offsets(
            settings.group, partitions=places
        )
        return found
