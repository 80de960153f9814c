"""Line 7: training speed beside the peers, in the same run, by ``make bench-peers``."""

from collections.abc import Iterator

from prove.benches import make_bench, three
from prove.models_rows.line02_movielens import movielens_tables
from prove.rows import Bench, Check, aim, figure
from prove.trainings import Trainings

RUNS = 3
AIM, AIM_OF_MEMORIES = 3.0, 1.0
#: Of ours, by what each is called there, and the least that is aimed at.
AIMS = {
    "DIN, 20 behaviors": AIM,
    "DIEN, 20 behaviors": AIM,
    "DIN+MIMN, whole histories": AIM_OF_MEMORIES,
    "DIN+HPMN, whole histories": AIM_OF_MEMORIES,
}
#: Ours makes its batches within the measured time; so do these.
OWN_BATCHES = ("its loader", "its fit")


def prove(bench: Bench) -> Iterator[Check]:
    """Run the benchmark with its defaults on the split of MovieLens."""
    trainings = Trainings(bench.workspace, bench.say)
    tables = movielens_tables(bench, trainings)
    bench.say("make bench-peers: ours and the peers take turns")
    arguments = f"--runs {RUNS} --folder {tables.directory}"
    told = make_bench("bench-peers", arguments, bench.workspace / "bench-peers.log")
    sizes = ", ".join(f"{name} {size}" for name, size in told["sizes"].items())
    yield figure("sizes", f"{sizes}; {told['threads']} threads, {told['processors']} processors")
    for name, values in told["samples_per_second"].items():
        yield figure(f"{name}, samples/s", three(values, "{:,.0f}"))
    for name, values in told["ratios"].items():
        least = next(least for own, least in AIMS.items() if name.startswith(own))
        what, text = f"{name}, ratio", three(values, "{:.2f}")
        yield aim(what, text, f"at least {least:g} in the median", values["median"] >= least)
    whole = [values for name, values in told["ratios"].items() if name.endswith(OWN_BATCHES)]
    slowest = min(values["median"] for values in whole)
    what = "least median of the ratios to peers that make their batches, as ours does"
    yield Check(what, f"{slowest:.2f}", "above 1: no peer trains faster", slowest > 1)
