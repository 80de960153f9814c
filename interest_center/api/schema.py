"""The JSON of the state queries, as structs: they make the OpenAPI page and check nothing."""

import msgspec

from interest_center.api.directory import PartitionStatus, SavedSnapshot


class Freshness(msgspec.Struct):
    """Up to when an answer holds.

    Attributes:
        as_of_ms: Event time of the user's last applied event, None without events.
        age_ms: Now minus ``as_of_ms``.
        watermark: Next offset of the partition: every earlier event is in the answer.
        partition: Partition of the user.
        model: Fingerprint of what wrote the memory, None without memory.
        history_from: First offset that the state has seen.
        memory_from: First offset that the memory has seen, None without memory.
    """

    as_of_ms: int | None
    age_ms: int | None
    watermark: int
    partition: int
    model: str | None
    history_from: int
    memory_from: int | None


class Behavior(msgspec.Struct):
    """One behavior, as remembered."""

    item_id: str
    category_id: str | None
    event_type: str
    event_time_ms: int


class Category(msgspec.Struct):
    """A category in which the user has a sub-sequence."""

    category_id: str
    size: int
    last_event_time_ms: int


class Memory(msgspec.Struct):
    """Summary of the long-term memory; ``values`` only with ``raw_memory=true``."""

    model: str
    fingerprint: str
    slot_norms: list[float]
    slot_use: list[float]
    values: list[float] | None = None


class Interest(msgspec.Struct):
    """The interest state of a user; of an unknown user it is empty, which is not an error."""

    user_id: str
    event_count: int
    counts: dict[str, int]
    last_event_time_ms: int | None
    chain_hash: str
    behaviors: list[Behavior]
    categories: list[Category]
    memory: Memory | None
    freshness: Freshness


class CategoryBehaviors(msgspec.Struct):
    """The last behaviors of a user in one category, newest first."""

    user_id: str
    category_id: str
    behaviors: list[Behavior]
    freshness: Freshness


class BatchGetRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Users whose states are wanted, at most 1,000."""

    user_ids: list[str]


class Interests(msgspec.Struct):
    """States in the order of the request."""

    users: list[Interest]


class Partitions(msgspec.Struct):
    """Every partition of the events topic."""

    n_partitions: int
    partitions: list[PartitionStatus]


class SavedSnapshots(msgspec.Struct):
    """One snapshot a partition of the worker that was asked."""

    snapshots: list[SavedSnapshot]
