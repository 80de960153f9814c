"""How many events a second the engine applies, checkpoints included, with no memory model.

Uniform over ``--users`` users; prints minimum, median and maximum of the rounds.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from interest_center.answers import CenterOptions
from interest_center.center import PartitionCenter
from interest_center.core.events import EVENT_DTYPE, EventBatch
from interest_center.core.layout import StateConfig
from interest_center.core.meta import LogIdentity
from interest_center.stores.memory import MemoryStore
from interest_center.stores.rocksdb import RocksStore


def columns(
    rng: np.random.Generator, n_events: int, n_users: int, n_categories: int, start: int
) -> NDArray[np.void]:
    """Return events of random users, each in so many categories."""
    events = np.zeros(n_events, EVENT_DTYPE)
    events["offset"] = np.arange(start, start + n_events)
    events["user"] = rng.integers(1, n_users + 1, n_events)
    events["item"] = rng.integers(1, 100_000, n_events)
    events["category"] = (events["user"] + rng.integers(0, n_categories, n_events)) % 1000 + 1
    events["event_hash"] = rng.integers(0, 2**63, n_events)
    events["event_type"] = 1
    events["event_time_ms"] = 1_700_000_000_000 + events["offset"]
    return events


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--hot-users", type=int, default=50_000)
    parser.add_argument("--categories", type=int, default=4, help="categories of one user")
    parser.add_argument("--fill", type=int, default=0, help="events of a user before the rounds")
    parser.add_argument("--batch", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--round-events", type=int, default=200_000)
    parser.add_argument("--store", choices=("rocksdb", "memory"), default="rocksdb")
    parser.add_argument("--cpu", action="store_true", help="CPU time of all threads")
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as scratch:
        store = RocksStore(Path(scratch) / "s") if given.store == "rocksdb" else MemoryStore()
        options = CenterOptions(hot_users=given.hot_users, timer=time.perf_counter)
        center = PartitionCenter(
            store, StateConfig(), None, LogIdentity("c", "t", "i", 1, 0), options
        )
        rates, apply_rates, clock = [], [], time.process_time if given.cpu else time.perf_counter
        n_filling = -(-given.fill * given.users // given.round_events)
        for round_ in range(-n_filling, given.rounds):
            events = columns(
                rng, given.round_events, given.users, given.categories, center.watermark
            )
            applying = writing = 0.0
            written = cold = checkpoints = 0
            for at in range(0, len(events), given.batch):
                part = events[at : at + given.batch]
                begun = clock()
                batch = EventBatch(
                    0, center.watermark, center.watermark + len(part), len(part), part
                )
                report = center.apply(batch)
                applying += clock() - begun
                cold += report.cold_users
                checkpoints += report.checkpoints
                begun = clock()
                while center.needs_checkpoint():
                    done = center.checkpoint()
                    written += done.state_bytes if done else 0
                    checkpoints += 1
                writing += clock() - begun
            if round_ < 0:
                continue
            rates.append(len(events) / (applying + writing))
            apply_rates.append(len(events) / applying)
            print(  # noqa: T201
                f"apply {apply_rates[-1]:9,.0f}/s  with checkpoints {rates[-1]:9,.0f}/s  "
                f"checkpoints {checkpoints} of {written >> 20} MiB in {writing:.2f} s  cold {cold}"
            )
        for name, figures in (("apply", apply_rates), ("apply + checkpoint", rates)):
            print(  # noqa: T201
                f"{name}: min {min(figures):,.0f} median {statistics.median(figures):,.0f} "
                f"max {max(figures):,.0f} events/s"
            )
        center.close()


if __name__ == "__main__":
    main()
