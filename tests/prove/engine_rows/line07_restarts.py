"""Line 7: a million users: started again from disk, snapshot and topic; what a snapshot costs."""

import shutil
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from prove.benches import spread
from prove.filling import fill
from prove.read_times import ReadTimes
from prove.reading import get_json, interest_path, metric, owned_partitions
from prove.rows import Bench, Check, aim, equal, figure
from prove.system import Service, System, wait_until
from streams.bench.measuring import peak_memory
from streams.bench.workload import Workload

N_USERS = 1_000_000
N_EVENTS = 3_000_000
N_PARTITIONS = 4
RUNS = 3
LEVEL_SECONDS = 600.0
OWN_DISK_SECONDS, SNAPSHOT_SECONDS = 5.0, 30.0
CHANGED_SHARE = 0.01
N_CHANGED = int(N_USERS * CHANGED_SHARE)
CALM_SECONDS = 5.0
N_COMPARED = 300
#: The limits of the settings, RocksDB's shares, and what a process takes without them.
MOST_MEMORY_MIB = 4 * 512 + 128 + 384 + 1_000


class Changes(Workload):
    """Events of as many different users as there are events."""

    def users(self) -> NDArray[np.int64]:
        """Return the user of each event, ``[n_events]``."""
        rng = np.random.default_rng((self.seed, 3))
        return rng.choice(self.n_users, self.n_events, replace=False) + 1


@dataclass
class Restarts:
    """One worker that is started again and again over the same events.

    Attributes:
        bench: Of the line.
        system: Broker and topics.
        sent: The events, as they were sent one after the other.
        worker: The one that runs now.
        peaks: Largest memory of each worker that ended, MiB.
    """

    bench: Bench
    system: System
    sent: list[Workload]
    worker: Service | None = None
    peaks: list[float] = field(default_factory=list)

    def start(self, what: str, **settings: object) -> float:
        """Start the worker and return the seconds until it answers for everything there is."""
        self.bench.say(what)
        self.worker = self.system.start_worker("worker", **settings)
        return self.worker.wait_ready(LEVEL_SECONDS)

    def end(self, wipe: bool = False) -> None:
        """Kill the worker; remove its disk when asked to."""
        assert self.worker is not None
        self.peaks.append(peak_memory(self.worker.child.pid) / 2**20)
        self.worker.kill_9()
        if wipe:
            shutil.rmtree(self.system.home / "state-worker")

    def differences(self) -> list[str]:
        """Compare the number of events of some users with what was sent."""
        assert self.worker is not None
        sent = np.concatenate([load.users() for load in self.sent])
        counts = np.bincount(sent, minlength=N_USERS + 1)
        users = self.bench.rng(7).integers(1, N_USERS + 1, N_COMPARED)
        told = []
        for user in users.tolist():
            answer = get_json(self.worker.url + interest_path(str(user)))
            if answer["event_count"] != counts[user]:
                told.append(f"user {user}: {answer['event_count']} events, not {counts[user]}")
        return told

    def change(self, number: int) -> None:
        """Push an event of one user in a hundred, and wait until it is durable."""
        few = Changes("mimn", "uniform", N_USERS, N_CHANGED, N_PARTITIONS, self.bench.seed + number)
        fill(self.system, few)
        self.sent.append(few)
        assert self.worker is not None
        url, n_sent = self.worker.url, sum(load.n_events for load in self.sent)

        def is_durable() -> bool:
            parts = owned_partitions(url).values()
            return sum(int(part["durable_watermark"]) for part in parts) >= n_sent

        wait_until("the changes durable", is_durable)

    def reads(self, number: int) -> ReadTimes:
        """Return what reads random users while something goes on."""
        assert self.worker is not None
        return ReadTimes(self.worker.url, N_USERS, self.bench.rng(7, number))

    def snapshot(self) -> dict[str, float]:
        """Make a snapshot; return its seconds and the bytes that were uploaded."""
        assert self.worker is not None
        before = sum(metric(self.worker.url, "uic_snapshot_bytes_total").values())
        started = time.monotonic()
        self.system.run("snapshot", "create", worker_urls=self.worker.url)
        seconds = time.monotonic() - started
        after = sum(metric(self.worker.url, "uic_snapshot_bytes_total").values())
        return {"seconds": seconds, "bytes": after - before}


def prove(bench: Bench) -> Iterator[Check]:
    """Fill the topic, and start the worker from everything it can start from."""
    load = Workload("mimn", "uniform", N_USERS, N_EVENTS, N_PARTITIONS, bench.seed)
    settings = {**load.prepare(bench.workspace / "model"), "partitions": N_PARTITIONS}
    # Snapshots come when they are asked for.
    settings["snapshot_interval_seconds"] = 36_000
    with System(bench.workspace / "system", **settings) as system:
        system.start_broker()
        bench.say(f"{N_EVENTS:,} events into the topic")
        fill(system, load)
        restarts = Restarts(bench, system, [load])
        yield from from_the_topic(restarts)
        yield from from_own_disk(restarts)
        yield from snapshots(restarts)
        yield from from_snapshots(restarts)
        restarts.end()
        peaks = restarts.peaks
        yield Check(
            "peak memory, MiB",
            spread(peaks),
            f"at most {MOST_MEMORY_MIB:,}: the limits of the settings",
            max(peaks) <= MOST_MEMORY_MIB,
        )


def from_the_topic(restarts: Restarts) -> Iterator[Check]:
    """Start without anything; the last start stays."""
    seconds = []
    for number in range(RUNS):
        what = f"from the topic, {number + 1} of {RUNS}"
        seconds.append(restarts.start(what, snapshot_url="off"))
        if number < RUNS - 1:
            restarts.end(wipe=True)
    yield figure("from the topic, seconds to serving", spread(seconds, ".1f"))
    yield from _rates("from the topic", seconds, restarts)


def from_own_disk(restarts: Restarts) -> Iterator[Check]:
    """Start after kill -9, from what the disk holds."""
    seconds = []
    for number in range(RUNS):
        restarts.end()
        seconds.append(restarts.start(f"from its own disk, {number + 1} of {RUNS}"))
    yield aim(
        "from its own disk after kill -9, seconds to serving",
        spread(seconds, ".1f"),
        f"under {OWN_DISK_SECONDS:g}",
        statistics.median(seconds) < OWN_DISK_SECONDS,
    )
    yield from _rates("from its own disk", seconds, restarts)


def from_snapshots(restarts: Restarts) -> Iterator[Check]:
    """Start with a wiped disk."""
    seconds = []
    for number in range(RUNS):
        restarts.end(wipe=True)
        seconds.append(restarts.start(f"from a snapshot, {number + 1} of {RUNS}"))
        assert restarts.worker is not None
        n_restored = restarts.worker.said().count("snapshot_restored")
        yield equal("partitions restored from a snapshot", n_restored, N_PARTITIONS)
    yield aim(
        "from a snapshot, seconds to serving",
        spread(seconds, ".1f"),
        f"under {SNAPSHOT_SECONDS:g}",
        statistics.median(seconds) < SNAPSHOT_SECONDS,
    )
    yield from _rates("from a snapshot", seconds, restarts)


def _rates(what: str, seconds: list[float], restarts: Restarts) -> Iterator[Check]:
    yield figure(f"{what}, users/s", spread([N_USERS / one for one in seconds]))
    told = restarts.differences()
    yield Check(
        f"{what}: events of {N_COMPARED} users",
        f"{len(told)} differences {told[:3]}" if told else "as sent",
        "as sent",
        not told,
    )


def snapshots(restarts: Restarts) -> Iterator[Check]:
    """Snapshot everything, change one user in a hundred, and snapshot again."""
    first = restarts.snapshot()
    yield figure("first snapshot", f"{first['bytes'] / 1e6:,.0f} MB in {first['seconds']:.1f} s")
    for number in range(RUNS):
        restarts.bench.say(f"1 % of users changed, {number + 1} of {RUNS}")
        restarts.change(number)
        with restarts.reads(number) as calm:
            time.sleep(CALM_SECONDS)
        with restarts.reads(number) as busy:
            made = restarts.snapshot()
        yield figure(
            f"snapshot with {CHANGED_SHARE:.0%} of users changed",
            f"{made['bytes'] / 1e6:,.1f} MB uploaded ({made['bytes'] / first['bytes']:.1%} of the "
            f"first) in {made['seconds']:.1f} s; reads meanwhile p99 {busy.p99_ms:.1f} ms, "
            f"longest {busy.longest_ms:.1f} ms; without one {calm.p99_ms:.1f} and "
            f"{calm.longest_ms:.1f} ms",
        )
