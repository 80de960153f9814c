"""Line 2: real work, profile and sub-sequences and a memory: events a second, durable."""

import statistics
from collections.abc import Iterator
from typing import Any

from prove.benches import bench, of_ours, spread
from prove.rows import Bench, Check, aim, figure

RUNS = 3
LEAST_SECONDS = 60.0
LONGEST_INTERVAL = 1.5
#: Distribution, users, events in the topic, and the rate aimed at.
CASES = (
    ("uniform", 100_000, 6_000_000, 60_000.0),
    ("zipf", 100_000, 9_000_000, 60_000.0),
    ("uniform", 1_000_000, 3_500_000, 30_000.0),
)


def prove(bench_: Bench) -> Iterator[Check]:
    """Measure both memories, then each part alone."""
    for work in ("mimn", "hpmn"):
        medians = {}
        for distribution, n_users, n_events, wanted in CASES:
            what = f"{work}, {distribution}, {n_users:,} users"
            bench_.say(what)
            said = bench(
                "engine", "--work", work, "--distribution", distribution, "--users", str(n_users),
                "--events", str(n_events), "--runs", str(RUNS), "--seed", str(bench_.seed),
            )  # fmt: skip
            medians[distribution, n_users] = statistics.median(of_ours(said, "events_per_second"))
            yield from of_case(what, said, wanted)
        uniform, zipf = medians["uniform", 100_000], medians["zipf", 100_000]
        yield Check(
            f"{work}: Zipf over uniform", f"{zipf / uniform:.2f}", "1 or more", zipf >= uniform
        )
        yield from limits(work, uniform, bench_)


def of_case(what: str, said: dict[str, Any], wanted: float) -> Iterator[Check]:
    """Show one case: rate, interval, and what an event costs."""
    rates = of_ours(said, "events_per_second")
    median = statistics.median(rates)
    yield aim(f"{what}: events/s", spread(rates), f"median {wanted:,.0f}", median >= wanted)
    seconds = of_ours(said, "seconds")
    yield Check(
        f"{what}: seconds",
        spread(seconds),
        f"at least {LEAST_SECONDS:g}",
        min(seconds) >= LEAST_SECONDS,
    )
    interval = of_ours(said, "checkpoint_interval_seconds", "mean")
    yield Check(
        f"{what}: checkpoint interval of a partition, s",
        spread(interval, ".2f"),
        f"at most {LONGEST_INTERVAL:g}",
        max(interval) <= LONGEST_INTERVAL,
    )
    for part in ("checkpoints", "disk"):
        yield figure(
            f"{what}: bytes of {part} an event", spread(of_ours(said, "bytes_per_event", part))
        )
    for part in ("workers", "broker"):
        cpu = spread(of_ours(said, "cpu_us_per_event", part), ".1f")
        yield figure(f"{what}: CPU of {part}, us an event", cpu)
    peak = spread([value / 2**20 for value in of_ours(said, "peak_memory_bytes")])
    yield figure(f"{what}: peak memory, MiB", peak)


def limits(work: str, rate: float, bench_: Bench) -> Iterator[Check]:
    """Show each part alone, by one thread, and how far the whole is from it."""
    bench_.say(f"{work}: each part alone")
    alone = bench("limits", "--work", work, "--seed", str(bench_.seed))
    for part, limit in alone.items():
        yield figure(f"{work}: {part} alone, events/s of one thread", f"{limit:,.0f}")
    together = 1 / sum(1 / limit for limit in alone.values())
    yield figure(
        f"{work}: all parts one after the other, by one thread", f"{together:,.0f} events/s"
    )
    yield figure(f"{work}: the whole worker, of that", f"{rate / together:.2f}")
