"""Line 5: EB-NeRD, trained on the earlier week and tested on the later."""

from collections.abc import Iterator

from prove.recipes import recipes
from prove.result_tables import ResultTable, figures_of, with_spread
from prove.rows import Bench, Check, figure
from prove.trainings import Trainings, by_label, mean_and_spread, with_seeds

#: Of every row: seeds of one differ by up to .005, which is more than some are above the baseline.
SEEDS = 3


def prove(bench: Bench) -> Iterator[Check]:
    """Train with and without the trigger, the article that the reader was on."""
    trainings = Trainings(bench.workspace, bench.say)
    log = bench.log_file("ebnerd-demo", "impressions.csv.gz")
    tables = trainings.tables("ebnerd", log.parent)
    rows = recipes("ebnerd").items()
    wanted = [one for row, recipe in rows for one in with_seeds(row, tables, recipe, SEEDS)]
    results = trainings.results(wanted)
    base = results[0].figures["count_baseline"]
    means = dict[str, float]()
    yield figure("count baseline, AUC and GAUC", f"{base['auc']:.4f} and {base['gauc']:.4f}")
    for label, seeds in by_label(results):
        aucs, gaucs = figures_of(seeds, "auc"), figures_of(seeds, "gauc")
        means[label] = mean_and_spread(aucs)[0]
        yield figure(f"{label}, AUC and GAUC", f"{with_spread(aucs)} and {with_spread(gaucs)}")
    for label, mean in means.items():
        less = mean - base["auc"]
        yield Check(f"{label} less count baseline, AUC", f"{less:+.4f}", "above 0", less > 0)
    table = ResultTable("ebnerd", "EB-NeRD demo bundle, test: the later week")
    table.add_baseline(results[0])
    table.add_trained(results)
    yield figure("table", str(table.write()))
