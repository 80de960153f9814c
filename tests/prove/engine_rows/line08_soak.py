"""Line 8: twenty minutes at half of the top rate, with a rebalance every two minutes."""

from collections.abc import Iterator

from prove.benches import bench, of_ours
from prove.rows import Bench, Check, figure
from prove.soak import Soak
from prove.system import System
from prove.verification import uic_verify
from streams.bench.workload import Workload

SECONDS = 1_200.0
REBALANCE_SECONDS = 120.0
N_USERS = 100_000
N_PARTITIONS = 4
N_EVENTS_OF_TOP_RATE = 3_000_000
#: Plain code recomputes them from tens of millions of records.
N_VERIFIED = 300


def prove(bench_: Bench) -> Iterator[Check]:
    """Find the top rate, soak at half of it, and recompute users."""
    bench_.say("the top rate")
    said = bench(
        "engine", "--work", "mimn", "--users", str(N_USERS), "--events", str(N_EVENTS_OF_TOP_RATE),
        "--runs", "1", "--seed", str(bench_.seed),
    )  # fmt: skip
    rate = of_ours(said, "events_per_second")[0] / 2
    yield figure("half of the top rate, events/s", f"{rate:,.0f}")
    load = Workload("mimn", "uniform", N_USERS, int(rate * SECONDS), N_PARTITIONS, bench_.seed)
    settings = {**load.prepare(bench_.workspace / "model"), "partitions": N_PARTITIONS}
    with System(bench_.workspace / "system", **settings) as system:
        system.start_broker()
        soak = Soak(system, load, rate, REBALANCE_SECONDS, bench_.say)
        workers = soak.run()
        yield soak.flat_memory()
        yield from soak.told()
        bench_.say("uic verify")
        users = bench_.rng(8).choice(N_USERS, N_VERIFIED, replace=False) + 1
        named = [part for user in users.tolist() for part in ("--user", str(user))]
        status, told = uic_verify(system, workers, *named, seconds=7_200)
        text = (
            f"{told['users']:,} users, {told['events']:,} events, {told['memories']:,} memories; "
            f"{told['users_different']} differ, other differences {told['other_differences']}"
            f"{'; '.join(['', *told['differences'][:3]])}"
        )
        yield Check(
            f"uic verify of {N_VERIFIED} users",
            text,
            "status 0, nothing differs",
            status == 0 and told["users"] == N_VERIFIED,
        )
