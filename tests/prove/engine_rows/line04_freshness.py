"""Line 4: how fresh states are while events arrive at half of the top rate."""

import math
import statistics
from collections.abc import Iterator

from prove.benches import bench, of_ours, spread
from prove.pauses import longest_pause
from prove.rows import Bench, Check, aim, figure

RUNS = 3
N_EVENTS = 3_000_000
VISIBLE_P99_MS, READ_P99_MS, LATE_P99, LATE_WORST = 300.0, 20.0, 0.02, 0.06


def prove(bench_: Bench) -> Iterator[Check]:
    """Find the top rate, then watch a worker at half of it."""
    bench_.say("the top rate")
    said = bench(
        "engine", "--work", "mimn", "--events", str(N_EVENTS), "--runs", "1",
        "--seed", str(bench_.seed),
    )  # fmt: skip
    rate = of_ours(said, "events_per_second")[0] / 2
    yield figure("half of the top rate, events/s", f"{rate:,.0f}")
    runs, pauses = [], []
    for number in range(RUNS):
        bench_.say(f"freshness, run {number + 1} of {RUNS}")
        pauses.append(1e3 * longest_pause())
        runs.append(
            bench("freshness", "--work", "mimn", "--rate", f"{rate:.0f}", "--seed", str(number))
        )
    yield figure(
        "the machine alone, before each run: longest pause of processes that only compute, ms",
        spread(pauses, ".1f"),
    )
    consumed = [run["events_per_second"] for run in runs]
    yield Check(
        "events/s consumed", spread(consumed), "95 % of those sent", min(consumed) >= 0.95 * rate
    )
    visible = [run["visible_ms"] for run in runs]
    yield figure("from push to state, p50, ms", spread([one["p50"] for one in visible], ".1f"))
    p99 = [one["p99"] for one in visible]
    yield aim(
        "from push to state, p99, ms",
        spread(p99, ".1f"),
        f"under {VISIBLE_P99_MS:g}",
        statistics.median(p99) < VISIBLE_P99_MS,
    )
    reads = [run["read_ms"]["p99"] for run in runs]
    yield Check(
        "read of a state, p99, ms",
        spread(reads, ".1f"),
        f"under {READ_P99_MS:g}",
        statistics.median(reads) < READ_P99_MS,
    )
    for name, limit in (("p99_at_most", LATE_P99), ("worst_at_most", LATE_WORST)):
        found = [run["loop_late_seconds"][name] for run in runs]
        late = [math.inf if value is None else value for value in found]
        yield Check(
            f"event loop late, {name.replace('_', ' ')}, ms",
            spread([1e3 * value for value in late], ".0f"),
            f"at most {1e3 * limit:g}",
            statistics.median(late) <= limit,
        )
