"""Line 1: the toy beside stock Faust and Quix Streams, on the same events in the same run."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from prove.benches import bench, of_ours, spread
from prove.rows import Bench, Check, aim, figure

N_EVENTS = 1_000_000
RUNS = 3
AIM_OF_QUIX = 6.0


@dataclass(frozen=True)
class Case:
    """One distribution of users, and how many times a peer's rate ours has to be."""

    distribution: str
    n_users: int
    least: dict[str, float]

    @property
    def what(self) -> str:
        """Return the case in words."""
        return f"{self.distribution}, {self.n_users:,} users"


CASES = (
    Case("uniform", 100_000, {"faust": 30.0, "quix": 4.0}),
    Case("zipf", 100_000, {"faust": 30.0, "quix": 3.0}),
    Case("uniform", 1_000_000, {"quix": 3.0}),
)


def prove(bench_: Bench) -> Iterator[Check]:
    """Run every case in turn with its peers."""
    for case in CASES:
        bench_.say(case.what)
        yield from compared(case, bench_.seed)


def compared(case: Case, seed: int) -> Iterator[Check]:
    """Run one case and hold the ratios against what they have to be."""
    said = bench(
        "engine", "--work", "toy", "--distribution", case.distribution,
        "--users", str(case.n_users), "--events", str(N_EVENTS), "--runs", str(RUNS),
        "--seed", str(seed), peers=tuple(case.least),
    )  # fmt: skip
    rates = spread(of_ours(said, "events_per_second"))
    yield figure(f"{case.what}: events/s, min / median / max", rates)
    slow = said["peers_too_slow"]
    yield Check(
        f"{case.what}: peers as fast as they usually are",
        "; ".join(slow) or "yes",
        "at least .8 of the figures of the issue",
        not slow,
    )
    for peer, least in case.least.items():
        theirs = [run["events_per_second"] for run in said["runs"][peer]]
        ratios = said["ratios"][peer]
        what, text = f"{case.what}: times {peer}", f"{spread(ratios, '.1f')} ({spread(theirs)}/s)"
        median = statistics.median(ratios)
        yield Check(what, text, f"median at least {least:g}", median >= least)
        if peer == "quix":
            yield aim(what, f"{median:.1f}", f"{AIM_OF_QUIX:g}", median >= AIM_OF_QUIX)
