"""What the records of a user hold, decoded: behaviors, directory of sub-sequences, profile."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Behaviors:
    """Behaviors of one user, oldest first.

    Attributes:
        item: Item ids, uint64 ``[n]``.
        category: Category ids, 0 where there is none, uint64 ``[n]``.
        event_type: Event type codes (1 + index in the configuration), uint8 ``[n]``.
        event_time_ms: Event times, int64 ``[n]``.
    """

    item: NDArray[np.uint64]
    category: NDArray[np.uint64]
    event_type: NDArray[np.uint8]
    event_time_ms: NDArray[np.int64]


@dataclass(frozen=True)
class Directory:
    """Which sub-sequences a user has, in no meaningful order.

    Attributes:
        category: Category ids, uint64 ``[k]``.
        updated_at: The user's event count after the last behavior of the category, int64 ``[k]``.
        event_time_ms: Event time of that behavior, int64 ``[k]``.
        size: Behaviors kept, uint32 ``[k]``.
    """

    category: NDArray[np.uint64]
    updated_at: NDArray[np.int64]
    event_time_ms: NDArray[np.int64]
    size: NDArray[np.uint32]


@dataclass(frozen=True)
class Profile(Behaviors):
    """The profile record: the ring of recent behaviors, and what is known of the whole history.

    Attributes:
        event_count: Applied events.
        last_event_time_ms: Largest event time applied.
        chain_hash: Chained hash of the applied event ids.
        type_counts: Applied events by event type code.
        event_ids: Hashes of the last applied event ids, oldest first, uint64 ``[m]``.
        directory: The user's sub-sequences.
    """

    event_count: int
    last_event_time_ms: int
    chain_hash: int
    type_counts: dict[int, int]
    event_ids: NDArray[np.uint64]
    directory: Directory
