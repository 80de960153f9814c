"""What the HTTP needs to know about partitions; the worker's composition root provides it."""

from typing import Protocol

import msgspec

from interest_center.center import PartitionCenter
from interest_center.core.errors import InterestCenterError
from interest_center.query import InterestViews


class PartitionStatus(msgspec.Struct, frozen=True):
    """One partition as this worker sees it; most after ``mine`` is known for own ones only.

    Attributes:
        partition: Its number.
        owner_url: Worker that answers for it, None while nobody is known to.
        mine: Whether that is this worker.
        ready: Whether this worker answers for it now.
        position: Next offset to apply; of a standby too.
        end: Last stable offset when last asked.
        durable_watermark: Position that a crash now would restart from.
        counters: What became of every offset since ``start_position``, as stored with the state.
        history_from: First offset that the state has seen.
        memory_from: First offset that the memories have seen; None without memories.
        memory_model: What computes the memories, None without.
        progress: Share of the replay that was due at assignment, 1 when done.
        seconds_left: How long the replay takes still at its rate so far; None while nobody knows.
        phase: What goes on: opening, replaying, ready, rebuilding_memory, without_memory (the topic
            no longer holds the history to build it from), suspended; standby for a warm copy of
            another worker's partition.
    """

    partition: int
    owner_url: str | None
    mine: bool
    ready: bool = False
    position: int | None = None
    end: int | None = None
    durable_watermark: int | None = None
    counters: dict[str, int] = {}
    history_from: int | None = None
    memory_from: int | None = None
    memory_model: str | None = None
    progress: float | None = None
    seconds_left: float | None = None
    phase: str | None = None


class SavedSnapshot(msgspec.Struct, frozen=True):
    """What became of a snapshot that was asked for.

    Attributes:
        partition: Of which partition.
        offset: It is the state of the events before it; None when there is no snapshot.
        uploaded_bytes: What the target did not have; 0 when its newest one says the same already.
        error: Why there is none.
    """

    partition: int
    offset: int | None = None
    uploaded_bytes: int = 0
    error: str | None = None


class PartitionDirectory(Protocol):
    """Who answers for which partition, and the centers of the own ones."""

    @property
    def n_partitions(self) -> int:
        """Partitions of the events topic."""
        ...

    @property
    def answer_seconds(self) -> float:
        """Longest time an answer may take: after it, another worker may own the partition."""
        ...

    @property
    def has_joined(self) -> bool:
        """Whether this worker is a member of the group now."""
        ...

    @property
    def views(self) -> InterestViews:
        """How records are shown: names of event types, summary of the memory model."""
        ...

    def is_mine(self, partition: int) -> bool:
        """Tell whether this worker is the owner, ready or not."""
        ...

    def owner_url(self, partition: int) -> str | None:
        """Return where the owner is reached, None while there is none."""
        ...

    def center(self, partition: int) -> PartitionCenter:
        """Return the center of an own partition.

        Raises:
            NotReadyError: It is not ours, still replays, or the group has not heard from us lately.
        """
        ...

    def damaged(self, center: PartitionCenter, error: InterestCenterError) -> None:
        """Take note that a read has met damage in a copy; another one will take its place."""
        ...

    def statuses(self) -> list[PartitionStatus]:
        """Describe every partition, in order."""
        ...

    async def save_snapshots(self) -> list[SavedSnapshot]:
        """Save a snapshot of each own partition now.

        Raises:
            BadRequestError: Snapshots are switched off.
        """
        ...

    def refresh_metrics(self) -> None:
        """Bring the gauges up to this moment; called before each scrape."""
        ...
