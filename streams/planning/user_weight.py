"""What a user's records weigh: simulated users, played through the engine itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interest_center.center import CenterOptions, PartitionCenter
from interest_center.core.events import EVENT_DTYPE, EventBatch
from interest_center.core.keys import MEMORY, PROFILE, SUBSEQUENCE, user_prefix
from interest_center.core.layout import StateConfig
from interest_center.core.meta import LogIdentity
from interest_center.core.protocols import MemoryUpdater, Store
from interest_center.hot_rows import user_bytes
from interest_center.stores.memory import MemoryStore

N_USERS = 100
#: Ids as wide as those of a large shop: the widths of columns follow from them.
N_ITEMS = 1_000_000_000
N_CATEGORIES = 10_000
#: Between two events of a user, on average.
EVENT_GAP_MS = 3_600_000
_BEGAN_MS = 1_600_000_000_000
_KIND_AT = len(user_prefix(0))


@dataclass(frozen=True)
class UserWeight:
    """Mean bytes of a user's records, each with its key.

    Attributes:
        profile: Counts, event ids, recent behaviors, directory.
        subsequences: All sub-sequences together.
        n_subsequences: How many there are.
        memory: The row of the memory model, 0 without one.
        in_memory: What the rows of a hot user take in a worker's memory.
    """

    profile: float
    subsequences: float
    n_subsequences: float
    memory: float
    in_memory: float

    @property
    def total(self) -> float:
        """All records together."""
        return self.profile + self.subsequences + self.memory


def play_users(center: PartitionCenter, n_users: int, n_events: int, n_categories: int) -> None:
    """Apply events of users ``1 .. n_users`` to an empty center, and write all rows.

    Args:
        center: Empty, of partition 0.
        n_users: How many users.
        n_events: Of each.
        n_categories: That each is interested in, one as much as the other.
    """
    rng = np.random.default_rng(0)
    own = rng.integers(1, N_CATEGORIES + 1, (n_users, n_categories))
    users = np.arange(1, n_users + 1)
    for number in range(n_events):
        events = np.zeros(n_users, EVENT_DTYPE)
        start = number * n_users
        events["offset"] = start + np.arange(n_users)
        events["user"] = users
        events["item"] = rng.integers(1, N_ITEMS + 1, n_users)
        events["category"] = own[users - 1, rng.integers(0, n_categories, n_users)]
        events["event_hash"] = rng.integers(0, 2**63, n_users)
        jitter = rng.integers(0, EVENT_GAP_MS, n_users)
        events["event_time_ms"] = _BEGAN_MS + number * EVENT_GAP_MS + jitter
        events["event_type"] = rng.choice([1, 2, 3], n_users, p=[0.8, 0.15, 0.05])
        end = start + n_users
        center.apply(EventBatch(0, start, end, n_users, events, last_record=(end - 1, 0)))
        while center.needs_checkpoint():
            center.checkpoint()
    center.settle()


def new_center(
    store: Store, config: StateConfig, updater: MemoryUpdater | None, n_users: int
) -> PartitionCenter:
    """Return an empty center that keeps all its users' rows in memory."""
    identity = LogIdentity("plan", "plan", "plan", 1, 0)
    return PartitionCenter(store, config, updater, identity, CenterOptions(hot_users=n_users))


class StillMemory:
    """A memory of so many numbers that no event moves; a ``MemoryUpdater``.

    Args:
        row_floats: How many.
    """

    name = "still"
    fingerprint = 1

    def __init__(self, row_floats: int) -> None:
        self.row_floats = row_floats

    def initial_row(self) -> NDArray[np.float32]:
        """Return the memory of a user without events."""
        return np.zeros(self.row_floats, np.float32)

    def update_many(
        self,
        rows: NDArray[np.float32],
        row_index: NDArray[np.int64],
        items: NDArray[np.uint64],
        categories: NDArray[np.uint64],
    ) -> None:
        """Change nothing."""

    def summarise(self, row: NDArray[np.float32]) -> dict[str, Any]:
        """Return nothing."""
        return {}


def weigh_users(
    config: StateConfig, row_floats: int, n_events: int, n_categories: int
) -> UserWeight:
    """Return what users weigh that have done so much.

    Args:
        config: Rules of the states.
        row_floats: Length of a memory, 0 for none.
        n_events: Of each user.
        n_categories: That each is interested in.
    """
    store = MemoryStore()
    updater = StillMemory(row_floats) if row_floats else None
    play_users(new_center(store, config, updater, N_USERS), N_USERS, n_events, n_categories)
    size = dict.fromkeys((PROFILE, SUBSEQUENCE, MEMORY), 0)
    n_subsequences = 0
    for key, value in store.scan_prefix(b"u"):
        kind = key[_KIND_AT : _KIND_AT + 1]
        size[kind] += len(key) + len(value)
        n_subsequences += kind == SUBSEQUENCE
    return UserWeight(
        profile=size[PROFILE] / N_USERS,
        subsequences=size[SUBSEQUENCE] / N_USERS,
        n_subsequences=n_subsequences / N_USERS,
        memory=size[MEMORY] / N_USERS,
        in_memory=user_bytes(config, row_floats, CenterOptions().subsequences_per_user),
    )
