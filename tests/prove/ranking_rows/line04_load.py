"""Line 4: open-loop load over HTTP while events stream in, everything on this machine."""

import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prove.benches import spread
from prove.open_load import Loaded, load_openly
from prove.ranking_rows.live_system import (
    EVENTS_PER_SECOND,
    N_CANDIDATES,
    TOP_K,
    Live,
    live_system,
    requests,
)
from prove.reading import metric
from prove.rows import Bench, Check, aim, figure

#: Requests a second, and what the 99th percentile is to stay under, ms.
AIMS = {100: None, 250: 19.0, 500: 30.0}
#: Tried when the highest of these is not held.
BETWEEN = (450, 400, 350, 300)
HELD_MS = 30.0
RUNS, SECONDS, WARM_UP_SECONDS = 3, 40.0, 10.0
STAGES = ("parse", "state", "queue", "score", "order", "total")


def prove(bench: Bench) -> Iterator[Check]:
    """Load at each rate, three times."""
    yield figure(
        "load",
        f"{N_CANDIDATES} candidates, {TOP_K} returned, of different users with 100 behaviors and "
        f"memory; {EVENTS_PER_SECOND:,.0f} events/s; every client, worker and broker on "
        f"{os.cpu_count()} cores",
    )
    with live_system(bench) as live:
        load_openly(live.ranker.url, requests(bench.rng(4), int(100 * WARM_UP_SECONDS)), 100)
        held: float = 0
        for rate, most in AIMS.items():
            runs, use = loaded(bench, live, rate)
            yield from told(runs, use, most)
            if rate_is_held(runs):
                held = rate
        for rate in () if held == max(AIMS) else BETWEEN:
            runs, use = loaded(bench, live, rate)
            yield from told(runs, use, None)
            if rate_is_held(runs):
                held = rate
                break
        yield aim(
            f"highest rate with the median p99 under {HELD_MS:g} ms, requests/s",
            f"{held:g}",
            f"{max(AIMS)}",
            held == max(AIMS),
        )


def rate_is_held(runs: list[Loaded]) -> bool:
    """Tell whether nearly all are answered in time."""
    return statistics.median(run.quantile_ms(0.99) for run in runs) < HELD_MS


def loaded(bench: Bench, live: Live, rate: float) -> tuple[list[Loaded], "Use"]:
    """Load a few times at one rate."""
    use = Use(live)
    runs = []
    for number in range(RUNS):
        bench.say(f"{rate:g} requests/s, {number + 1} of {RUNS}")
        bodies = requests(bench.rng(4, int(rate), number), int(rate * SECONDS))
        runs.append(load_openly(live.ranker.url, bodies, rate))
    use.end()
    return runs, use


def told(runs: list[Loaded], use: "Use", most: float | None) -> Iterator[Check]:
    """Show how it went at one rate."""
    rate = runs[0].rate
    for number, run in enumerate(runs, start=1):
        yield figure(f"{rate:g}/s, run {number}: p50 / p99 / p99.9", run.told())
    n_sent = sum(len(run.statuses) for run in runs)
    odd = {s: n for run in runs for s, n in run.counts.items() if s not in (200, 429)}
    yield Check(f"{rate:g}/s: answers that are neither 200 nor 429", str(odd or 0), "0", not odd)
    p99 = [run.quantile_ms(0.99) for run in runs]
    if most is not None:
        median = statistics.median(p99)
        yield aim(f"{rate:g}/s: p99, ms", spread(p99, ".1f"), f"under {most:g}", median < most)
    yield figure(f"{rate:g}/s: cores in use", use.cores())
    yield figure(f"{rate:g}/s: mean of each stage of {n_sent:,} requests, ms", use.stages())


@dataclass
class Use:
    """What the processes used between two moments.

    Attributes:
        live: The processes.
    """

    live: Live
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.before = self._look()

    def end(self) -> None:
        """Note the second moment."""
        self.after = self._look()

    def cores(self) -> str:
        """Return what each process used, in cores."""
        wall = self._more("wall")
        names = [name for name in self.after if name.startswith("cpu ")]
        used = {name.removeprefix("cpu "): self._more(name) / wall for name in names}
        return ", ".join(f"{name} {cores:.2f}" for name, cores in used.items())

    def stages(self) -> str:
        """Return the mean time of each stage."""
        n = self._more("n total")
        return ", ".join(f"{s} {1e3 * self._more(f's {s}') / n:.2f}" for s in STAGES)

    def _more(self, name: str) -> float:
        return self.after[name] - self.before[name]

    def _look(self) -> dict[str, float]:
        live = self.live
        pids = {
            "ranking worker": live.ranker.child.pid,
            "interest worker": live.workers[0].child.pid,
            "broker": live.system.broker_pid,
            "sender of events": live.system.processes[-1].child.pid,
            "load": os.getpid(),
        }
        found = {f"cpu {name}": cpu_seconds(pid) for name, pid in pids.items()}
        found["wall"] = os.times().elapsed
        for stage in STAGES:
            found[f"s {stage}"] = of_stage(live.ranker.url, "sum", stage)
        found["n total"] = of_stage(live.ranker.url, "count", "total")
        return found


def of_stage(url: str, what: str, stage: str) -> float:
    """Return the sum or the count of a stage's times."""
    samples = metric(url, f"uic_rank_seconds_{what}")
    return sum(value for labels, value in samples.items() if stage in str(labels))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
