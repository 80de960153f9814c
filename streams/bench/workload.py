"""What is measured: whose events, how many, and what becomes of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from interest_center.core.ids import partition_of
from interest_center.core.layout import StateConfig
from models.bundle import untrained_bundle
from models.vocabulary import Vocabulary

Work = Literal["toy", "none", "mimn", "hpmn"]
Distribution = Literal["uniform", "zipf"]

ZIPF_EXPONENT = 1.1
N_ITEMS = 100_000
N_CATEGORIES = 1_000
#: Categories that one user is interested in.
CATEGORIES_OF_USER = 8
#: Between two events of the log, so that it is long ago in the end and never in the future.
EVENT_GAP_MS = 1
#: The toy keeps of a user what a duplicate is known by, and its memory of 2 KiB.
TOY_RULES = StateConfig(
    n_behaviors=1, n_event_ids=16, n_subsequences=1, n_subsequence_behaviors=1, subsequence_types=()
)


@dataclass(frozen=True)
class Workload:
    """One measurement's events.

    Attributes:
        work: ``toy``: 2 KiB of floats a user, row = .99 row + vector of the item, and next to
            nothing else; ``none``: profile and sub-sequences as the defaults keep them; ``mimn``
            and ``hpmn``: the same with a memory.
        distribution: Of the events over the users: alike, or Zipf with exponent 1.1.
        n_users: Users, numbered from 1.
        n_events: Events in the topic.
        n_partitions: Of the topic.
        seed: Of everything random.
    """

    work: Work
    distribution: Distribution
    n_users: int
    n_events: int
    n_partitions: int
    seed: int

    @property
    def title(self) -> str:
        """The measurement in words."""
        return f"{self.work}, {self.distribution}, {self.n_users:,} users, {self.n_events:,} events"

    def users(self) -> NDArray[np.int64]:
        """Return the user of each event, ``[n_events]``."""
        rng = np.random.default_rng((self.seed, 1))
        if self.distribution == "uniform":
            return rng.integers(1, self.n_users + 1, self.n_events)
        mass = np.cumsum(np.arange(1, self.n_users + 1, dtype=np.float64) ** -ZIPF_EXPONENT)
        drawn = np.searchsorted(mass, rng.random(self.n_events) * mass[-1])
        return np.asarray(np.minimum(drawn, self.n_users - 1) + 1, np.int64)

    def partitions(self) -> NDArray[np.int64]:
        """Return the partition of each user, ``[n_users + 1]``; nobody is number 0."""
        found = [partition_of(b"%d" % user, self.n_partitions) for user in range(self.n_users + 1)]
        return np.array(found)

    def messages(self, now_ms: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield partition, key and value of each event, as a client would push it.

        Args:
            now_ms: Time of the last event.
        """
        rng = np.random.default_rng((self.seed, 2))
        users, partitions = self.users(), self.partitions()
        items = rng.integers(1, N_ITEMS + 1, self.n_events)
        own = rng.integers(0, CATEGORIES_OF_USER, self.n_events)
        categories = (users * 7 + own) % N_CATEGORIES + 1
        begun_ms = now_ms - EVENT_GAP_MS * self.n_events
        run = int(rng.integers(1 << 62))
        columns = (users, partitions[users], items, categories)
        for i, (user, partition, item, category) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        ):
            value = (
                b'{"event_id":"%016x%016x","user_id":"%d","item_id":"%d","category_id":"%d",'
                b'"event_type":"click","event_time_ms":%d}'
                % (run, i, user, item, category, begun_ms + EVENT_GAP_MS * i)
            )
            yield partition, b"%d" % user, value

    def prepare(self, directory: Path) -> dict[str, Path]:
        """Write what the workers need in a directory; return their settings by name."""
        directory.mkdir(parents=True, exist_ok=True)
        if self.work == "toy":
            path = directory / "state.json"
            path.write_bytes(msgspec.json.encode(TOY_RULES))
            return {"state_config": path}
        if self.work == "none":
            return {}
        items = np.arange(1, N_ITEMS + 1, dtype=np.uint64)
        vocabulary = Vocabulary.from_pairs(items, items % N_CATEGORIES + 1)
        untrained_bundle(directory / "bundle", f"din+{self.work}", self.seed, vocabulary)
        return {"bundle": directory / "bundle"}
