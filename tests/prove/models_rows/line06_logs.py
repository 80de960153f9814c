"""Line 6: Amazon electronics and Taobao, split by time: all models, and what staleness costs."""

from collections.abc import Iterator

from prove.recipes import recipes
from prove.result_tables import ResultTable, figures_of
from prove.rows import Bench, Check, figure
from prove.trainings import Result, Trainings, by_label, with_seeds

LOGS = {
    "amazon": ("amazon-electronics-2023", "stream.csv.gz"),
    "taobao": ("taobao-userbehavior-prefix", "raw", "UserBehavior.csv"),
}
AGES = "0,1h,1d,7d"
#: Of the row whose state is made older.
STALE = "DIN+MIMN"


def prove(bench: Bench) -> Iterator[Check]:
    """Train all models on both logs, one seed each."""
    trainings = Trainings(bench.workspace, bench.say)
    for name, parts in LOGS.items():
        log = bench.log_file(*parts)
        place = bench.data_dir / parts[0]
        assert log.is_relative_to(place)
        tables = trainings.tables(name, place)
        rows = recipes(name).items()
        results = trainings.results(
            [one for row, recipe in rows for one in with_seeds(row, tables, recipe, 1)]
        )
        yield from compared(name, results)
        stale = next(one for one in results if one.training.label == STALE)
        yield from made_older(name, trainings, stale)


def compared(name: str, results: list[Result]) -> Iterator[Check]:
    """Hold every model against the count baseline."""
    base = results[0].figures["count_baseline"]["auc"]
    yield figure(f"{name}: count baseline, AUC", f"{base:.4f}")
    for label, seeds in by_label(results):
        auc = figures_of(seeds, "auc")[0]
        what = f"{name}: {label} and count baseline, AUC"
        yield Check(what, f"{auc:.4f} and {base:.4f}", "above the baseline", auc > base)
    table = ResultTable(name, f"{name}, split by time")
    table.add_baseline(results[0])
    table.add_trained(results)
    yield figure(f"{name}: table", str(table.write()))


def made_older(name: str, trainings: Trainings, result: Result) -> Iterator[Check]:
    """Score with older states; a live state has to be the one that was trained for."""
    told = trainings.evaluation(result, "--staleness", AGES)
    heads = ("age of the state", "missed behaviors", "AUC", "less live", "95 % interval")
    table = ResultTable(f"{name}-staleness", f"{name}, {STALE} with older states", heads)
    for age, row in zip(AGES.split(","), told["staleness"], strict=True):
        less, (low, high) = row["difference"]["auc"], row["difference"]["auc_interval"]
        cells = (f"{row['missed_behaviors']:.2f}", f"{row['auc']:.4f}", f"{less:+.4f}")
        table.rows.append((age, *cells, f"{low:+.4f} to {high:+.4f}"))
        yield figure(f"{name}: AUC with a state {age} old", f"{row['auc']:.4f} ({less:+.4f})")
    live = told["staleness"][0]
    yield Check(
        f"{name}: AUC at age 0 and live",
        f"{live['auc']:.6f} and {told['auc']:.6f}",
        "equal",
        live["auc"] == told["auc"],
    )
    yield figure(f"{name}: table of staleness", str(table.write()))
