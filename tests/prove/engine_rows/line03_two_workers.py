"""Line 3: two workers on the two cores against one."""

import statistics
from collections.abc import Iterator

from prove.benches import bench, of_ours, spread
from prove.rows import Bench, Check, figure

RUNS = 3
N_EVENTS = 6_000_000
MOST_CPU = 1.2


def prove(bench_: Bench) -> Iterator[Check]:
    """Run one worker and two over the same events, and compare what an event costs."""
    rates, cpu = {}, {}
    for n_workers in (1, 2):
        bench_.say(f"{n_workers} workers")
        said = bench(
            "engine", "--work", "mimn", "--workers", str(n_workers), "--events", str(N_EVENTS),
            "--runs", str(RUNS), "--seed", str(bench_.seed),
        )  # fmt: skip
        rates[n_workers] = of_ours(said, "events_per_second")
        cpu[n_workers] = of_ours(said, "cpu_us_per_event", "workers")
        broker = of_ours(said, "cpu_us_per_event", "broker")
        yield figure(f"events/s of {n_workers}", spread(rates[n_workers]))
        yield figure(f"CPU of {n_workers}, us an event", spread(cpu[n_workers], ".1f"))
        shares = [b / (b + w) for b, w in zip(broker, cpu[n_workers], strict=True)]
        yield figure(f"share of the broker beside {n_workers}", spread(shares, ".1%"))
    more = statistics.median(cpu[2]) / statistics.median(cpu[1])
    yield Check(
        "CPU of an event, two workers over one",
        f"{more:.2f}",
        f"at most {MOST_CPU:g}",
        more <= MOST_CPU,
    )
    faster = statistics.median(rates[2]) / statistics.median(rates[1])
    yield Check("rate, two workers over one", f"{faster:.2f}", "not lower", faster >= 1.0)
