"""Line 2: MovieLens-1M in the split and by the protocol of ReChorus 2.0."""

from collections.abc import Iterator

from prove.recipes import recipes
from prove.result_tables import ResultTable, figures_of, with_spread
from prove.rows import Bench, Check, aim, figure
from prove.trainings import Result, Tables, Trainings, by_label, mean_and_spread, with_seeds

SEEDS = 3
#: Table 6 of ReChorus 2.0 (arXiv 2405.18058): AUC and log loss.
PUBLISHED = {
    "FM": (0.7661, 0.9155), "Wide&Deep": (0.7798, 0.6291), "DeepFM": (0.7736, 0.6252),
    "AFM": (0.7795, 0.7564), "DCN": (0.7831, 0.6334), "xDeepFM": (0.7692, 0.6203),
    "AutoInt": (0.7785, 0.5661), "DCNv2": (0.7870, 0.5572), "FinalMLP": (0.7841, 0.5735),
    "SAM": (0.7919, 0.5590), "DIN": (0.7904, 0.6052), "DIEN": (0.7874, 0.5513),
    "CAN": (0.7909, 0.5510),
}  # fmt: skip
BEST_PUBLISHED = max(auc for auc, _ in PUBLISHED.values())
AIM = 0.8000
ROUGH_WITH_RATINGS, AIM_WITH_RATINGS = 0.8184, 0.8250
#: Of the rows that read ratings, the one that validation chose; the others have one seed.
CHOSEN_WITH_RATINGS = "DIN and factors of behaviors"


def movielens_tables(bench: Bench, trainings: Trainings) -> Tables:
    """Return the tables of MovieLens-1M."""
    log = bench.log_file("ml-1m-rebuilt", "ratings_rebuilt.csv.gz")
    return trainings.tables("movielens", log.parent)


def prove(bench: Bench) -> Iterator[Check]:
    """Train every row without and with the ratings in the history."""
    trainings = Trainings(bench.workspace, bench.say)
    tables = movielens_tables(bench, trainings)
    ids_only, rated = recipes("movielens").items(), recipes("movielens-with-ratings").items()
    wanted = [one for row, recipe in ids_only for one in with_seeds(row, tables, recipe, SEEDS)]
    yield from without_ratings(trainings.results(wanted))
    wanted = [
        one
        for row, recipe in rated
        for one in with_seeds(row, tables, recipe, SEEDS if row == CHOSEN_WITH_RATINGS else 1)
    ]
    yield from with_ratings(trainings.results(wanted))


def without_ratings(results: list[Result]) -> Iterator[Check]:
    """Hold the rows against those published under the same names, the best against all."""
    means = dict[str, float]()
    for label, seeds in by_label(results):
        aucs = figures_of(seeds, "auc")
        means[label] = mean_and_spread(aucs)[0]
        if label in PUBLISHED:
            least = PUBLISHED[label][0]
            yield Check(label, with_spread(aucs), f"at least {least}", means[label] >= least)
        else:
            yield figure(label, with_spread(aucs))
    best = max(means, key=lambda label: means[label])
    what = f"best composition ({best})"
    yield Check(what, f"{means[best]:.4f}", f"above {BEST_PUBLISHED}", means[best] > BEST_PUBLISHED)
    yield aim(what, f"{means[best]:.4f}", f"{AIM:.4f}", means[best] >= AIM)
    table = ResultTable("movielens", "MovieLens-1M, ids only")
    table.add_baseline(results[0])
    for label, (auc, log_loss) in PUBLISHED.items():
        table.add_published(label, auc, log_loss)
    table.add_trained(results)
    yield figure("count baseline", f"{results[0].figures['count_baseline']['auc']:.4f}")
    yield figure("table", str(table.write()))


def with_ratings(results: list[Result]) -> Iterator[Check]:
    """Hold the best row of those that read the ratings against a rough DIN."""
    means = dict[str, float]()
    for label, seeds in by_label(results):
        aucs = figures_of(seeds, "auc")
        means[label] = mean_and_spread(aucs)[0]
        yield figure(f"{label}, ratings in the history", with_spread(aucs))
    best = means[CHOSEN_WITH_RATINGS]
    what, text = f"best with ratings ({CHOSEN_WITH_RATINGS})", f"{best:.4f}"
    yield Check(what, text, f"above {ROUGH_WITH_RATINGS}", best > ROUGH_WITH_RATINGS)
    yield aim(what, text, f"{AIM_WITH_RATINGS:.4f}", best >= AIM_WITH_RATINGS)
    table = ResultTable("movielens-with-ratings", "MovieLens-1M, ratings in the history")
    table.add_baseline(results[0])
    table.add_trained(results)
    yield figure("table", str(table.write()))
