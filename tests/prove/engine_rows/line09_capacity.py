"""Line 9: bytes of a user on the disk, by events and kinds of state, beside ``uic plan``."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interest_center.core.layout import StateConfig
from interest_center.core.protocols import MemoryUpdater
from interest_center.stores.rocksdb import RocksStore
from models.bundle import load_updater, untrained_bundle
from prove.rows import Bench, Check, figure
from prove.system import UIC, SystemFailedError
from streams.planning.user_weight import new_center, play_users, simulated_shop

N_CATEGORIES = 10
#: Events of each user, and of how many users.
CASES = ((1, 20_000), (10, 20_000), (100, 5_000), (1_000, 1_000))
MODELS = {"none": "din", "mimn": "din+mimn", "hpmn": "din+hpmn"}
#: Of what is on the disk, how far the plan may be off.
TOLERANCE = 0.15


def prove(bench: Bench) -> Iterator[Check]:
    """Weigh users in a real RocksDB, and hold the plan against it."""
    for kind, model in MODELS.items():
        updater = updater_of(kind, bench)
        for n_events, n_users in CASES:
            bench.say(f"{kind}, {n_events} events a user")
            directory = bench.workspace / f"{kind}-{n_events}"
            stored = bytes_on_disk(directory, updater, n_users, n_events) / n_users
            planned = plan("--model", model, "--events-per-user", str(n_events))["user"]
            off = planned["on_disk"] / stored - 1
            yield Check(
                f"memory {kind}, {n_events} events: bytes of a user on the disk, compacted",
                f"{stored:,.0f}; the plan says {planned['on_disk']:,.0f} ({off:+.1%}), of records: "
                f"profile {planned['profile']:,.0f}, sub-sequences {planned['subsequences']:,.0f}, "
                f"memory {planned['memory']:,.0f}",
                f"within {TOLERANCE:.0%}",
                abs(off) <= TOLERANCE,
            )
    yield from of_a_large_site()


def updater_of(kind: str, bench: Bench) -> MemoryUpdater | None:
    """Return a memory with random weights, others than those of the plan; None for none."""
    if kind == "none":
        return None
    directory = bench.workspace / f"model-{kind}"
    untrained_bundle(directory, MODELS[kind], bench.seed, simulated_shop())
    return load_updater(directory)


def bytes_on_disk(
    directory: Path, updater: MemoryUpdater | None, n_users: int, n_events: int
) -> int:
    """Play users into a RocksDB, compact it, and return the size of its tables."""
    store = RocksStore(directory)
    center = new_center(store, StateConfig(), updater, n_users)
    play_users(center, simulated_shop().items, n_users, n_events, N_CATEGORIES)
    store.compact()
    center.close()
    return sum(file.stat().st_size for file in directory.glob("*.sst"))


def plan(*arguments: str) -> dict[str, Any]:
    """Return what ``uic plan`` says of a large site."""
    asked = ("--users", "600M", "--events-per-second", "1M", *arguments)
    categories = ("--categories-per-user", str(N_CATEGORIES))
    done = subprocess.run(
        [UIC, "plan", *asked, *categories, "--json"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemFailedError(f"uic plan ended {done.returncode}: {done.stderr[-800:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def of_a_large_site() -> Iterator[Check]:
    """Show the plan of 600 million users with a million events a second."""
    told = plan()
    needed = told["plan"]
    worker, snapshots, kafka = needed["worker"], needed["snapshots"], needed["kafka"]
    event = needed["event"]
    yield figure(
        "600M users, 1M events/s",
        f"{needed['workers']} workers, {needed['partitions']} partitions, "
        f"{needed['state_bytes'] / 1e12:.2f} TB of states; a worker: memory "
        f"{worker['memory_bytes'] / 1e9:.1f} GB, disk {worker['disk_bytes'] / 1e9:.0f} GB; "
        f"snapshots {snapshots['upload_bytes_per_second'] / 1e9:.1f} GB/s; Kafka "
        f"{kafka['in_bytes_per_second'] / 1e6:,.0f} MB/s in, "
        f"{kafka['out_bytes_per_second'] / 1e6:,.0f} MB/s out; an event "
        f"{event['cpu_us']:.0f} us CPU, {event['disk_bytes'] / 1e3:.1f} kB disk",
    )
    needs = {**worker, **snapshots, **kafka, "workers": needed["workers"]}
    lacking = [name for name, value in needs.items() if not value > 0]
    yield Check(
        "the plan names workers, memory, disk, snapshots, Kafka, and what it assumes",
        f"lacks {lacking}" if lacking else f"all, {len(told['assumptions'])} assumptions",
        "all",
        not lacking and bool(told["assumptions"]),
    )
