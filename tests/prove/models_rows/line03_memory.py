"""Line 3: what a long-term memory is worth, and what it costs a request."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from prove.content_hashes import ROOT
from prove.models_rows.line02_movielens import movielens_tables
from prove.recipes import recipes
from prove.result_tables import ResultTable, with_spread
from prove.rows import Bench, Check, figure
from prove.system import SystemFailedError
from prove.trainings import Result, Trainings, by_label, with_seeds

WHOLE = "DIN, whole history"
#: Rows with a memory, each with the row of the same reader and length alone.
WITH_MEMORY = {
    "DIN+MIMN": "DIN",
    "DIN+HPMN": "DIN",
    "DIN+MIMN of 5": "DIN of 5",
    "DIN+HPMN of 5": "DIN of 5",
}
#: Seeds of the headline rows; the others have one.
SEEDS = {"DIN": 3, "DIN+MIMN": 3, "DIN+HPMN": 3}
#: What a memory keeps: it does not tell event types apart, so it sees what users liked.
LIKED = ("rate4", "rate5")
CANDIDATES = 100
#: Longest history of the log, rounded up; what a request of an average user holds (the mean).
LONGEST, MEAN = 2_400, 165


def prove(bench: Bench) -> Iterator[Check]:
    """Train with the same short length; compare seed by seed on the same draws of users."""
    trainings = Trainings(bench.workspace, bench.say)
    tables = trainings.with_rules(movielens_tables(bench, trainings), memory_types=LIKED)
    whole = trainings.with_rules(tables, n_behaviors=LONGEST)
    wanted = []
    for row, recipe in recipes("movielens-memory").items():
        wanted += with_seeds(row, whole if row == WHOLE else tables, recipe, SEEDS.get(row, 1))
    rows = dict(by_label(trainings.results(wanted)))
    table = ResultTable("movielens-memory", "MovieLens-1M, the value of memory")
    for results in rows.values():
        table.add_trained(results)
    for label, short in WITH_MEMORY.items():
        yield from gained(trainings, rows[short], rows[label])
        yield whole_against(trainings, rows[WHOLE][0], rows[label][0], label)
    for label, results in rows.items():
        n_behaviors = MEAN if label == WHOLE else results[0].training.recipe["history_length"]
        text = f"{milliseconds(results[0], n_behaviors):.2f} ms"
        yield figure(f"{label}: scoring {CANDIDATES} candidates, {n_behaviors} behaviors", text)
    yield figure("table", str(table.write()))


def gained(trainings: Trainings, short: list[Result], memory: list[Result]) -> Iterator[Check]:
    """Compare a memory with the same reader alone, each seed with its own."""
    intervals = []
    for alone, with_memory in zip(short, memory, strict=True):
        told = difference(trainings, with_memory, alone)
        intervals.append(told)
    gains = [told["auc"] for told in intervals]
    mean = sum(gains) / len(gains)
    what = f"{memory[0].training.label} less {short[0].training.label} alone, AUC"
    yield Check(what, with_spread(gains), "the mean above 0", mean > 0)
    for seed, told in enumerate(intervals):
        yield figure(f"{what}, seed {seed}, 95 % interval", interval_text(told))


def whole_against(trainings: Trainings, whole: Result, memory: Result, label: str) -> Check:
    """Compare a memory with a reader of the whole history."""
    told = difference(trainings, memory, whole)
    return figure(f"{label} less {WHOLE}, 95 % interval", interval_text(told))


def difference(trainings: Trainings, one: Result, base: Result) -> dict[str, Any]:
    """Return the difference in AUC, with its interval, on the same draws of users."""
    told = trainings.evaluation(one, "--base", str(base.bundle))
    found = [row for row in told["comparisons"] if str(base.bundle) in row["base"]]
    found_difference: dict[str, Any] = found[0]["difference"]
    return found_difference


def interval_text(told: dict[str, Any]) -> str:
    """Return a difference and its interval."""
    low, high = told["auc_interval"]
    return f"{told['auc']:+.4f} ({low:+.4f} to {high:+.4f})"


def milliseconds(result: Result, n_behaviors: int) -> float:
    """Return the median time of scoring a request, one thread."""
    program = ROOT / "tests" / "benchmarks" / "rank_speed.py"
    argv = [sys.executable, str(program), "--bundle", str(result.bundle), "--json"]
    argv += ["--behaviors", str(n_behaviors), "--threads", "1"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemFailedError(done.stderr[-1_000:])
    for line in done.stdout.splitlines():
        told = json.loads(line)
        if told["name"] == f"score {CANDIDATES:,} candidates":
            return float(told["median"])
    raise SystemFailedError(f"{program.name} measured no {CANDIDATES} candidates")
