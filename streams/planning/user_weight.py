"""What a user's records weigh: simulated users, played through the engine itself."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from interest_center.center import CenterOptions, PartitionCenter
from interest_center.core.events import EVENT_DTYPE, EventBatch
from interest_center.core.keys import MEMORY, PROFILE, SUBSEQUENCE, user_prefix
from interest_center.core.layout import StateConfig
from interest_center.core.meta import LogIdentity
from interest_center.core.protocols import MemoryUpdater, Store
from interest_center.hot_rows import user_bytes
from interest_center.stores.rocksdb import RocksStore
from models.vocabulary import Vocabulary

#: Users who did little are played in greater numbers: what they share is compressed together.
LEAST_USERS, MOST_USERS, ENOUGH_EVENTS = 100, 2_000, 20_000
#: Ids as wide as those of a large shop: the widths of columns follow from them.
LARGEST_ITEM = 1_000_000_000
N_ITEMS, N_CATEGORIES = 100_000, 10_000
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
        on_disk: All of them in RocksDB's tables, compacted: with its index and filters, compressed.
        in_memory: What the rows of a hot user take in a worker's memory.
    """

    profile: float
    subsequences: float
    n_subsequences: float
    memory: float
    on_disk: float
    in_memory: float

    @property
    def total(self) -> float:
        """All records together."""
        return self.profile + self.subsequences + self.memory


def simulated_shop() -> Vocabulary:
    """Return items and categories as a large shop has them."""
    rng = np.random.default_rng(1)
    items = np.unique(rng.integers(1, LARGEST_ITEM + 1, N_ITEMS).astype(np.uint64))
    categories = rng.integers(1, N_CATEGORIES + 1, len(items)).astype(np.uint64)
    return Vocabulary.from_pairs(items, categories)


def play_users(
    center: PartitionCenter,
    items: NDArray[np.uint64],
    n_users: int,
    n_events: int,
    n_categories: int,
) -> None:
    """Apply events of users ``1 .. n_users`` to an empty center, and write all rows.

    Args:
        center: Empty, of partition 0.
        items: Drawn from, one as often as the other. To be known to the memory: unknown ones are
            all alike to it, and what is alike is compressed.
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
        events["item"] = rng.choice(items, n_users)
        events["category"] = own[users - 1, rng.integers(0, n_categories, n_users)]
        events["event_hash"] = rng.integers(0, 2**63, n_users)
        jitter = rng.integers(0, EVENT_GAP_MS, n_users)
        events["event_time_ms"] = _BEGAN_MS + number * EVENT_GAP_MS + jitter
        events["event_type"] = rng.choice([1, 2, 3], n_users, p=[0.8, 0.15, 0.05])
        end = start + n_users
        center.apply(EventBatch(0, start, end, n_users, events, last_record=(end - 1, 0)))
        center.write_due()
    center.settle()


def new_center(
    store: Store, config: StateConfig, updater: MemoryUpdater | None, n_users: int
) -> PartitionCenter:
    """Return an empty center that keeps all its users' rows in memory."""
    identity = LogIdentity("plan", "plan", "plan", 1, 0)
    return PartitionCenter(store, config, updater, identity, CenterOptions(hot_users=n_users))


def weigh_users(
    config: StateConfig,
    updater: MemoryUpdater | None,
    items: NDArray[np.uint64],
    n_events: int,
    n_categories: int,
) -> UserWeight:
    """Return what users weigh that have done so much.

    Args:
        config: Rules of the states.
        updater: Keeps their memories; None for none.
        items: That it knows.
        n_events: Of each user.
        n_categories: That each is interested in.
    """
    n_users = max(LEAST_USERS, min(MOST_USERS, ENOUGH_EVENTS // n_events))
    size = dict.fromkeys((PROFILE, SUBSEQUENCE, MEMORY), 0)
    n_subsequences = 0
    with tempfile.TemporaryDirectory() as directory:
        store = RocksStore(Path(directory))
        center = new_center(store, config, updater, n_users)
        play_users(center, items, n_users, n_events, n_categories)
        for key, value in store.scan_prefix(b"u"):
            kind = key[_KIND_AT : _KIND_AT + 1]
            size[kind] += len(key) + len(value)
            n_subsequences += kind == SUBSEQUENCE
        store.compact()
        on_disk = sum(file.stat().st_size for file in Path(directory).glob("*.sst"))
        center.close()
    row_floats = 0 if updater is None else updater.row_floats
    return UserWeight(
        profile=size[PROFILE] / n_users,
        subsequences=size[SUBSEQUENCE] / n_users,
        n_subsequences=n_subsequences / n_users,
        memory=size[MEMORY] / n_users,
        on_disk=on_disk / n_users,
        in_memory=user_bytes(config, row_floats, CenterOptions().subsequences_per_user),
    )
