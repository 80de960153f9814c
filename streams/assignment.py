"""The partitions of a worker, as the group gives and takes them; the directory of its HTTP."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from interest_center import metrics
from interest_center.api.directory import PartitionStatus, SavedSnapshot
from interest_center.center import PartitionCenter
from interest_center.core.errors import (
    BadRequestError,
    InterestCenterError,
    LogMismatchError,
    NotReadyError,
    PartitionCountError,
)
from interest_center.core.meta import LogIdentity
from interest_center.query import InterestViews
from interest_center.settings import Settings
from streams.log_identity import AFRESH
from streams.partition_gauges import forget, progress_of, refresh, replaying, seconds_left
from streams.partitions import OwnedPartition
from streams.pending_runs import ReceivedRun
from streams.snapshot_timer import save_snapshot
from streams.standby import Standbys
from streams.topics import topic_identity
from streams.worker_tools import WorkerTools

log = structlog.get_logger(__name__)


def log_identities(settings: Settings) -> list[LogIdentity]:
    """Ask the broker which log this is, one identity a partition.

    Raises:
        ConfigurationError: There is no such topic.
        KafkaUnreachableError: No broker answers.
    """
    topic = settings.events_topic
    cluster_id, topic_id, n_partitions = topic_identity(settings, topic)
    return [
        LogIdentity(cluster_id, topic, topic_id, n_partitions, number)
        for number in range(n_partitions)
    ]


class Group(Protocol):
    """What the consumer group knows."""

    @property
    def rebalancing(self) -> bool:
        """Whether nobody owns anything just now."""
        ...

    @property
    def heartbeat_age_seconds(self) -> float:
        """Time since the broker last confirmed that this worker is a member."""
        ...

    def owner_urls(self) -> dict[int, str]:
        """URL of the owner by partition, as of the last assignment."""
        ...


class Assignment:
    """Opens, suspends and closes partitions; knows who answers for which.

    Args:
        tools: Shared by all partitions.
        group: What the consumer group knows.
        identities: The log of each partition.
        fail: Told of an error that must stop the worker.
    """

    def __init__(
        self,
        tools: WorkerTools,
        group: Group,
        identities: list[LogIdentity],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.owned: dict[int, OwnedPartition] = {}
        self.views = InterestViews(tools.rules.config, tools.rules.updater)
        self.has_joined = False
        self.tools = tools
        self._group = group
        self._identities = identities
        self._fail = fail
        self._closing: dict[int, asyncio.Task[None]] = {}
        self._standbys = Standbys(tools, identities)

    # --- what the group says ---------------------------------------------------------------

    async def on_revoked(self) -> None:
        """Stop all partitions and make them durable; their copies stay open for now."""
        self.has_joined = False
        await asyncio.gather(*(owned.suspend() for owned in self.owned.values()))

    async def on_assigned(self, partitions: Iterable[int], standbys: Iterable[int]) -> None:
        """Go on with what is still ours, begin what is new, release the rest.

        Args:
            partitions: Owned by this worker from now on.
            standbys: Owned by others, to be kept warm here.
        """
        assigned, warm = set(partitions), set(standbys)
        metrics.REBALANCES.inc()
        for number in set(self.owned) - assigned:
            self._release(number)
        for number in self._standbys.others_than(assigned | warm):
            self._release_standby(number)
        for number in sorted(assigned):
            if number not in self.owned:
                self.owned[number] = OwnedPartition(
                    self._identities[number],
                    self.tools,
                    self._fail,
                    after=self._closing.get(number),
                    standby=self._standbys.take(number),
                )
            self.owned[number].resume()
        for number in sorted(warm - assigned):
            self._standbys.keep(number, after=self._closing.get(number))
        self.has_joined = True
        log.info("assigned", partitions=sorted(assigned), standbys=sorted(warm - assigned))

    def offer(self, received: ReceivedRun) -> None:
        """Hand a run to its partition; one of a partition that is gone is dropped."""
        owned = self.owned.get(received.run.topic_partition.partition)
        if owned is not None:
            owned.offer(received)

    async def close(self) -> None:
        """Close everything; the partitions must have been suspended."""
        for number in list(self.owned):
            self._release(number)
        for number in self._standbys.others_than(()):
            self._release_standby(number)
        if self._closing:
            await asyncio.wait(self._closing.values())
        await self._standbys.stop()

    def _release(self, number: int) -> None:
        owned = self.owned.pop(number)
        self._closing[number] = asyncio.create_task(owned.close())
        forget(number)

    def _release_standby(self, number: int) -> None:
        standby = self._standbys.take(number)
        assert standby is not None
        self._closing[number] = asyncio.create_task(standby.close())

    # --- the directory ---------------------------------------------------------------------

    @property
    def n_partitions(self) -> int:
        """Partitions of the events topic."""
        return len(self._identities)

    @property
    def answer_seconds(self) -> float:
        """Longest time an answer may take."""
        return self.tools.settings.session_timeout_seconds

    def is_mine(self, partition: int) -> bool:
        """Tell whether this worker is the owner, ready or not."""
        return partition in self.owned

    def owner_url(self, partition: int) -> str | None:
        """Return where another owner is reached."""
        url = self._group.owner_urls().get(partition)
        return None if url == self.tools.settings.advertised_url else url

    def center(self, partition: int) -> PartitionCenter:
        """Return the center of an own partition that may answer now.

        Raises:
            NotReadyError: It may not.
        """
        owned = self.owned.get(partition)
        if owned is None:
            raise NotReadyError(f"partition {partition} is not at this worker")
        if self._group.rebalancing or not owned.is_assigned:
            raise NotReadyError(f"partition {partition} is being reassigned")
        if self._group.heartbeat_age_seconds > self.answer_seconds:
            raise NotReadyError(
                f"partition {partition}: no contact with the broker for longer than the session "
                "timeout, so another worker may own it"
            )
        if not owned.ready or owned.center is None:
            raise replaying(owned)
        return owned.center

    def damaged(self, center: PartitionCenter, error: InterestCenterError) -> None:
        """Have the copy that a read has found damaged replaced."""
        for owned in self.owned.values():
            if owned.center is center:
                owned.damage = error

    def statuses(self) -> list[PartitionStatus]:
        """Describe every partition."""
        urls = self._group.owner_urls()
        return [self._status(number, urls.get(number)) for number in range(self.n_partitions)]

    def _status(self, number: int, url: str | None) -> PartitionStatus:
        owned = self.owned.get(number)
        if owned is None:
            warm = self._standbys.position(number)
            phase = None if warm is None else "standby"
            return PartitionStatus(number, url, mine=False, position=warm, phase=phase)
        try:
            ready = self.center(number) is not None
        except NotReadyError:
            ready = False
        center = owned.center
        if center is None:
            return PartitionStatus(number, url, mine=True, progress=0.0, phase="opening")
        updater = self.tools.rules.updater
        counters = center.counters
        return PartitionStatus(
            number,
            url,
            mine=True,
            ready=ready,
            position=counters.position,
            end=max(owned.lag.end, counters.position),
            durable_watermark=center.durable_watermark,
            counters={name: getattr(counters, name) for name in counters.__struct_fields__},
            history_from=center.history_from,
            memory_from=center.memory_from,
            memory_model=f"{updater.fingerprint:016x}" if updater is not None else None,
            progress=progress_of(owned),
            seconds_left=seconds_left(owned),
            phase=self._phase(owned, ready),
        )

    def _phase(self, owned: OwnedPartition, ready: bool) -> str:
        if not owned.is_assigned or self._group.rebalancing:
            return "suspended"
        if not ready:
            return "replaying"
        return owned.lacks_memory or "ready"

    async def save_snapshots(self) -> list[SavedSnapshot]:
        """Save a snapshot of each own partition now, one after another.

        Raises:
            BadRequestError: Snapshots are switched off.
        """
        if self.tools.settings.snapshots is None:
            raise BadRequestError("snapshots are switched off at this worker", "snapshots")
        return [await save_snapshot(self.tools, one) for one in list(self.owned.values())]

    # --- watching --------------------------------------------------------------------------

    async def look_at_the_log(self) -> None:
        """Learn how far the logs and the owners of our standbys are, and what waits since when.

        Raises:
            KafkaError: The broker does not say.
        """
        owned = [one for one in self.owned.values() if one.is_assigned]
        if owned:
            ends = await self.tools.reader.ends([one.number for one in owned])
            for one in owned:
                one.lag.saw(ends.get(one.number, 0))
                await one.look()
        await self._standbys.look()

    async def check_identity(self) -> None:
        """Notice a topic that was recreated under a running worker.

        Raises:
            KafkaUnreachableError: No broker answers.
            ConfigurationError: The topic is gone.
        """
        found = await asyncio.to_thread(log_identities, self.tools.settings)
        if found == self._identities:
            return
        topic = self.tools.settings.events_topic
        if found[0].topic_id == self._identities[0].topic_id:
            self._fail(PartitionCountError(topic, self.n_partitions, len(found)))
        else:
            self._fail(
                LogMismatchError(f"topic {topic} was recreated while the worker ran", AFRESH)
            )

    def refresh_metrics(self) -> None:
        """Bring the gauges up to this moment."""
        metrics.HEARTBEAT_AGE_SECONDS.set(self._group.heartbeat_age_seconds)
        for owned in self.owned.values():
            refresh(owned)
