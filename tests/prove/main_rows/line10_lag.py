"""Line 10: a real Prometheus sees the lag of a worker that is held back, and so does the outside.

The worker is held back by its throttle, so that it can be scraped meanwhile. From outside the lag
is known by three things only: when the broker appended each record (its acknowledgement), which
position the worker told, and the time.
"""

import asyncio
import json
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from prove.bundles import bundle_for
from prove.logs import Event
from prove.prometheus import Prometheus, Samples
from prove.reading import positions
from prove.rows import Bench, Check, equal, figure
from prove.sending import Sender, Sent, good
from prove.system import Service, System, need_port, wait_until
from prove.verification import EVENTS_TOPIC

N_PARTITIONS = 4
N_USERS = 2_000
HELD_SECONDS = 20.0
LOAD, HELD_RATE = 2_000, 500
TICK_SECONDS = 0.05
LOOK_SECONDS = 0.25
#: Of the peak: the worker asks for the end of the log once a second, Prometheus every two.
TOLERANCE = 0.1
DRAIN_SECONDS = 300.0
WORKER_PORT, RANKER_PORT = 8080, 8090


@dataclass
class Outside:
    """What is known of the lag without asking the worker for it.

    Attributes:
        looks: Time and next offset of each partition, as the worker told them.
        sent: Every record with the time of its append.
    """

    looks: list[tuple[float, dict[int, int]]] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)

    def at(self, moment: float) -> tuple[float, float]:
        """Return the lag in records and in seconds at a moment between two looks."""
        times = [at for at, _ in self.looks]
        right = min(max(1, bisect_left(times, moment)), len(times) - 1)
        (t0, before), (t1, after) = self.looks[right - 1], self.looks[right]
        share = min(1.0, max(0.0, (moment - t0) / (t1 - t0)))
        records, seconds = 0.0, 0.0
        for number, appended in self._append_times().items():
            reached = before[number] + share * (after[number] - before[number])
            here = bisect_left(appended, moment)
            if reached < here:
                records += here - reached
                seconds = max(seconds, moment - appended[int(reached)])
        return records, seconds

    def _append_times(self) -> dict[int, list[float]]:
        """Return the append times of each partition by offset."""
        by_partition: dict[int, list[float]] = {}
        for one in sorted(self.sent, key=lambda s: s.offset):
            by_partition.setdefault(one.partition, []).append(one.append_time_ms / 1000)
        return by_partition

    def watch(self, worker: Service, over: threading.Event) -> None:
        """Ask the worker for its positions until told to stop."""
        while not over.is_set():
            asked = time.time()
            told = positions(worker.url)
            self.looks.append(((asked + time.time()) / 2, told))
            over.wait(LOOK_SECONDS)


def prove(bench: Bench) -> Iterator[Check]:
    """Hold the worker back for a while under load, and compare three accounts of its lag."""
    need_port(WORKER_PORT)
    need_port(RANKER_PORT)
    rng = bench.rng(10)
    bundle = bundle_for([event_of(rng, 0) for _ in range(500)], bench.workspace / "b", bench.seed)
    settings = {"bundle": bundle, "partitions": N_PARTITIONS}
    with System(bench.workspace / "system", **settings) as system:
        system.start_broker()
        worker = system.start_worker(worker_port=WORKER_PORT, max_events_per_second=HELD_RATE)
        worker.wait_ready()
        system.start_ranker(ranker_port=RANKER_PORT).wait_ready()
        prometheus = Prometheus(system)
        wait_until("both scraped", lambda: prometheus.value("sum(up)") == 2)
        yield figure("Prometheus", f"{prometheus.version()}, docker/prometheus.yml")
        outside, told = held_back(bench, system, worker, rng)
        bench.say("until Prometheus says that the lag is gone")
        wait_until("lag 0", lambda: prometheus.value("sum(uic_lag_records)") == 0, DRAIN_SECONDS)
        yield from compared(prometheus, outside, told)


def held_back(
    bench: Bench, system: System, worker: Service, rng: np.random.Generator
) -> tuple[Outside, dict[str, float]]:
    """Send more than the worker may take; return what was seen, and what ``uic lag`` said."""
    outside, over = Outside(), threading.Event()
    watch = threading.Thread(target=outside.watch, args=(worker, over))
    watch.start()
    try:
        bench.say(f"{LOAD:,} events/s, the worker held back to {HELD_RATE:,}/s")
        outside.sent = asyncio.run(load(system, rng))
        done = system.run("lag", "--once", "--json", worker_urls=worker.url)
        told: dict[str, float] = json.loads(done.stdout)
        n_sent = len(outside.sent)
        bench.say("catching up")
        wait_until(
            "everything applied",
            lambda: sum(positions(worker.url).values()) == n_sent,
            DRAIN_SECONDS,
            pause=0.5,
        )
        time.sleep(2 * LOOK_SECONDS)
    finally:
        over.set()
        watch.join()
    return outside, told


async def load(system: System, rng: np.random.Generator) -> list[Sent]:
    """Send at a fixed rate for as long as the worker is to be held back."""
    sent: list[Sent] = []
    n_ticks = round(HELD_SECONDS / TICK_SECONDS)
    per_tick = round(LOAD * TICK_SECONDS)
    async with Sender(system.bootstrap, EVENTS_TOPIC) as sender:
        started = time.monotonic()
        for tick in range(n_ticks):
            await asyncio.sleep(started + tick * TICK_SECONDS - time.monotonic())
            first = tick * per_tick
            sent += await sender.send(good(event_of(rng, first + n)) for n in range(per_tick))
    return sent


def event_of(rng: np.random.Generator, number: int) -> Event:
    """Return a click of a random user."""
    item = int(rng.integers(1, 1_000))
    return {
        "event_id": f"e{number}",
        "user_id": f"u{rng.integers(N_USERS)}",
        "item_id": str(item),
        "category_id": str(1 + item % 50),
        "event_type": "click",
        "event_time_ms": int(time.time() * 1000),
    }


def compared(prometheus: Prometheus, outside: Outside, told: dict[str, float]) -> Iterator[Check]:
    """Hold what Prometheus scraped against the outside, scrape by scrape."""
    up = prometheus.series("up[10m]").values()
    n_scrapes = sum(len(samples) for samples in up)
    missed = sum(value == 0 for samples in up for _, value in samples)
    yield equal(f"scrapes that failed, of {n_scrapes}", missed, 0)
    by_name = {
        "records": by_scrape(prometheus.series("uic_lag_records[10m]"), sum),
        "seconds": by_scrape(prometheus.series("uic_lag_seconds[10m]"), max),
    }
    began, ended = outside.looks[0][0], outside.looks[-1][0]
    # Most records wait when the load ends; the last of them waits longest, until its turn comes.
    right = {
        "records": (LOAD - HELD_RATE) * HELD_SECONDS,
        "seconds": LOAD * HELD_SECONDS / HELD_RATE - HELD_SECONDS,
    }
    for index, (name, samples) in enumerate(by_name.items()):
        during = [(at, value) for at, value in samples if began < at < ended]
        apart = max(abs(value - outside.at(at)[index]) for at, value in during)
        peak = max(value for _, value in during)
        seen = max(outside.at(at)[index] for at, _ in outside.looks)
        wanted = right[name]
        yield Check(
            f"lag in {name}: peak by Prometheus and from outside",
            f"{peak:,.1f} and {seen:,.1f}",
            f"each within {TOLERANCE:.0%} of {wanted:,.0f}",
            all(abs(value - wanted) <= TOLERANCE * wanted for value in (peak, seen)),
        )
        by_lag, then = told["lag_" + name], outside.at(told["at_ms"] / 1000)[index]
        yield Check(
            f"lag in {name}: by uic lag and from outside at that moment",
            f"{by_lag:,.1f} and {then:,.1f}",
            f"within {TOLERANCE:.0%}",
            abs(by_lag - then) <= TOLERANCE * then,
        )
        yield Check(
            f"lag in {name}: worst of {len(during)} scrapes against the outside",
            f"{apart:,.1f} apart",
            f"at most {TOLERANCE:.0%} of {wanted:,.0f}",
            len(during) > HELD_SECONDS / 2 and apart <= TOLERANCE * wanted,
        )
        last = samples[-1][1]
        end = (last, outside.at(ended)[index])
        yield equal(f"lag in {name}: at the end, by Prometheus and from outside", end, (0, 0))
    applied = prometheus.value('sum(uic_events_total{result="applied"})')
    yield equal("events applied, by Prometheus", applied, float(len(outside.sent)))


def by_scrape(series: dict[str, Samples], combine: Callable[[list[float]], float]) -> Samples:
    """Combine the partitions' samples of each scrape; they carry the same time."""
    moments: dict[float, list[float]] = {}
    for samples in series.values():
        for at, value in samples:
            moments.setdefault(at, []).append(value)
    whole = [(at, values) for at, values in moments.items() if len(values) == len(series)]
    return sorted((at, combine(values)) for at, values in whole)
