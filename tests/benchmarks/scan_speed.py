"""How many events a second: each memory's scan alone, in training, and in the whole engine.

Training scans whole histories, 165 events long on average, with a stop every 20 events, where walks
begin, and walks the events of a batch with gradients, forth and back. The engine applies batches to
a center on RocksDB and checkpoints after every 8 MiB of dirty rows, so its rate is that of durable
events of one partition. Users are uniform, Zipf-distributed (exponent 1.1), or a single one, whose
events cannot be spread over rows.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import torch
from measure import Benchmark
from numpy.typing import NDArray

from interest_center.center import PartitionCenter
from interest_center.core.events import EVENT_DTYPE, EventBatch
from interest_center.core.layout import StateConfig
from interest_center.core.meta import LogIdentity
from interest_center.core.protocols import MemoryUpdater
from interest_center.stores.rocksdb import RocksStore
from models.bundle import Bundle, load_bundle, untrained_bundle
from models.memory_states import memories_at
from models.registry import MEMORIES
from models.samples import Histories
from models.training_options import TrainingOptions
from models.vocabulary import Vocabulary
from models.walks import MemoryWalk, walk_memory

N_ITEMS = 100_000
N_CATEGORIES = 1_000
DIRTY_BYTES = 8 << 20
BATCH = 2_000
START_MS = 1_767_225_600_000
MEAN_HISTORY = 165
OPTIONS = TrainingOptions()

Users = Callable[[np.random.Generator, int], NDArray[np.int64]]


def distributions(n_users: int) -> dict[str, Users]:
    """Return how the users of events are drawn, by name; users are 0 to ``n_users - 1``."""
    share = 1.0 / np.arange(1, n_users + 1) ** 1.1
    cumulated = np.cumsum(share / share.sum())
    return {
        "uniform users": lambda rng, n: rng.integers(0, n_users, n),
        "Zipf users": lambda rng, n: np.searchsorted(cumulated, rng.random(n)).clip(
            max=n_users - 1
        ),
        "one user": lambda rng, n: np.zeros(n, np.int64),
    }


def make_bundle(memory: str) -> Bundle:
    """Return a DIN with a memory, of random weights, whose embeddings do not fit the cache."""
    items = np.arange(1, N_ITEMS + 1, dtype=np.uint64)
    vocabulary = Vocabulary.from_pairs(items, items % N_CATEGORIES + 1)
    with tempfile.TemporaryDirectory() as directory:
        untrained_bundle(Path(directory), f"din+{memory}", vocabulary=vocabulary)
        return load_bundle(Path(directory))


def draw_items(rng: np.random.Generator, n: int) -> NDArray[np.uint64]:
    """Draw items, popular ones more often."""
    return (N_ITEMS * rng.random(n) ** 2 + 1).astype(np.uint64)


def measure_scan(benchmark: Benchmark, updater: MemoryUpdater, n_users: int, n: int) -> None:
    """Measure the memory model's own scan."""
    rows = np.repeat(updater.initial_row()[None], n_users, axis=0)
    for name, draw in distributions(n_users).items():
        rng = np.random.default_rng(1)
        users, items = draw(rng, n), draw_items(rng, n)
        categories = items % N_CATEGORIES + 1

        def scan(
            users: NDArray[np.int64] = users,
            given: tuple[NDArray[np.uint64], ...] = (items, categories),
        ) -> None:
            updater.update_many(rows, users, *given)

        title = f"{updater.name} scan ({4 * updater.row_floats:,} bytes a user), {name}"
        benchmark.rate(title, "events/s", n, scan)


def measure_histories(benchmark: Benchmark, updater: MemoryUpdater, n: int) -> None:
    """Measure the scan of whole histories to the start of every walk, as training makes it."""
    rng = np.random.default_rng(3)
    n_users = max(1, n // MEAN_HISTORY)
    lengths = 1 + rng.geometric(1 / (MEAN_HISTORY - 1), n_users)
    starts = np.append(0, np.cumsum(lengths))
    items = draw_items(rng, int(starts[-1]))
    nothing = np.zeros(len(items), np.int64)
    categories = items % N_CATEGORIES + 1
    histories = Histories(starts, items, categories, nothing.astype(np.uint8), nothing)
    walks = 1 + lengths // OPTIONS.window
    users = np.repeat(np.arange(n_users), walks)
    nth = np.arange(len(users)) - np.repeat(np.cumsum(walks) - walks, walks)

    def scan() -> None:
        for _ in memories_at(histories, users, nth * OPTIONS.window, updater):
            pass

    n_scanned = int(((walks - 1) * OPTIONS.window).sum())
    benchmark.rate(f"{updater.name} scan of whole histories", "events/s", n_scanned, scan)


def measure_walk(benchmark: Benchmark, bundle: Bundle) -> None:
    """Measure the events of a batch's walks with gradients, forth and back."""
    memory, updater = bundle.ranker.model.memory.train().requires_grad_(), bundle.updater
    assert updater is not None
    rng = np.random.default_rng(4)
    n, longest = OPTIONS.requests_at_once, 2 * OPTIONS.window
    # A request reads its memory somewhere in the second half of its walk.
    seen = torch.from_numpy(rng.integers(OPTIONS.window, longest, n))
    nothing = torch.zeros(n, longest, dtype=torch.int64)
    walk = MemoryWalk(
        items=nothing,
        categories=nothing,
        rows=torch.from_numpy(np.repeat(updater.initial_row()[None], n, axis=0)),
        fresh=torch.ones(n, dtype=torch.bool),
        group=torch.arange(n),
        seen=seen,
    )
    events = torch.randn(n, longest, bundle.ranker.model.config.dim, requires_grad=True)

    def step() -> None:
        memory.zero_grad()
        state = walk_memory(memory, walk, events)
        sum(column.square().sum() for column in state).backward()

    benchmark.rate(f"{updater.name} walk with gradients", "events/s", int(seen.sum()), step)


class Log:
    """An endless log of one partition: each call of ``batches`` goes on where the last ended."""

    def __init__(self, draw: Users) -> None:
        self._draw = draw
        self._rng = np.random.default_rng(2)
        self.position = 0

    def batches(self, n: int) -> list[EventBatch]:
        """Return the next ``n`` events."""
        made = []
        for first in range(0, n, BATCH):
            size = min(BATCH, n - first)
            events = np.zeros(size, EVENT_DTYPE)
            events["offset"] = self.position + np.arange(size)
            events["event_time_ms"] = events["append_time_ms"] = START_MS + 10 * events["offset"]
            events["user"] = self._draw(self._rng, size) + 1
            events["item"] = draw_items(self._rng, size)
            events["category"] = events["item"] % N_CATEGORIES + 1
            events["event_hash"] = self._rng.integers(1, 1 << 63, size, dtype=np.uint64)
            events["event_type"] = 1
            end = self.position + size
            made.append(EventBatch(0, self.position, end, size, events, last_record=(end - 1, 0)))
            self.position = end
        return made


def measure_engine(
    benchmark: Benchmark, updater: MemoryUpdater | None, n_users: int, n: int
) -> None:
    """Measure apply and checkpoint on RocksDB."""
    kind = f"engine with {updater.name}" if updater else "engine without memory"
    for name, draw in distributions(n_users).items():
        with tempfile.TemporaryDirectory() as directory:
            store = RocksStore(Path(directory) / "store")
            identity = LogIdentity("benchmark", "events", "benchmark", 1, 0)
            center = PartitionCenter(store, StateConfig(), updater, identity)
            log = Log(draw)
            # Made ahead: decoding is measured elsewhere.
            runs = iter([log.batches(n) for _ in range(benchmark.runs + 1)])

            def apply(
                center: PartitionCenter = center, runs: Iterator[list[EventBatch]] = runs
            ) -> None:
                for batch in next(runs):
                    center.apply(batch)
                    if center.dirty_bytes() >= DIRTY_BYTES:
                        center.checkpoint()
                center.checkpoint()

            benchmark.rate(f"{kind}, {name}", "events/s", n, apply)
            center.close()


@click.command()
@click.option("--events", default=100_000, show_default=True, help="Events of one run.")
@click.option("--users", default=20_000, show_default=True, help="Users they belong to.")
@click.option("--runs", default=5, show_default=True, help="Runs of each figure.")
@click.option("--scan-only", is_flag=True, help="Leave out the engine.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a figure.")
def main(events: int, users: int, runs: int, scan_only: bool, as_json: bool) -> None:
    """Measure the scans in one process and one thread, and the engine of one partition."""
    torch.set_num_threads(1)
    benchmark = Benchmark(f"{events:,} events of {users:,} users, batches of {BATCH:,}", runs)
    bundles = [make_bundle(memory) for memory in sorted(MEMORIES)]
    for bundle in bundles:
        assert bundle.updater is not None
        measure_scan(benchmark, bundle.updater, users, events)
        measure_histories(benchmark, bundle.updater, events)
        measure_walk(benchmark, bundle)
    if not scan_only:
        measure_engine(benchmark, None, users, events)
        for bundle in bundles:
            measure_engine(benchmark, bundle.updater, users, events)
    benchmark.show(as_json)


if __name__ == "__main__":
    main()
