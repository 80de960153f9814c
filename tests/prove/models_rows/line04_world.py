"""Line 4: a simulated world with triggers, whose best reachable AUC is known."""

from collections.abc import Iterator

import polars as pl

from prove.main_rows.line08_models import count_scores, exact_auc
from prove.recipes import recipes
from prove.result_tables import ResultTable, figures_of, with_spread
from prove.rows import Bench, Check, figure
from prove.trainings import Result, Trainings, World, by_label, mean_and_spread, with_seeds

SEEDS = 3
CLOSED = 0.9
#: Of the samples, on a page whose p_trigger counts.
LEAST_SHARE = 0.01
MADE_FOR_TRIGGERS = "DEI2N"
#: A row beside the question, of one seed.
ASIDE = "DIN+TR"
#: The same reader with and without the trigger.
PAIRS = {"DIN+TRA": "DIN", "DIEN+TRA": "DIEN", "DMIN+TRA": "DMIN"}


def prove(bench: Bench) -> Iterator[Check]:
    """Simulate on the suite's seed, train all rows, hold them against each other and the oracle."""
    yield figure("seed of the world", str(bench.seed))
    trainings = Trainings(bench.workspace, bench.say)
    world = trainings.world(bench.seed)
    rows, ablations = recipes("world"), recipes("world-ablations")
    wanted = [
        one
        for row, recipe in rows.items()
        for one in with_seeds(row, world.tables, recipe, 1 if row == ASIDE else SEEDS)
    ]
    wanted += [one for row, r in ablations.items() for one in with_seeds(row, world.tables, r, 1)]
    results = trainings.results(wanted)
    trained = [one for one in results if one.training.label in rows]
    table = ResultTable("world", f"Simulated world, seed {bench.seed}")
    table.add_baseline(trained[0])
    table.add_trained(trained)
    yield from ordered(dict(by_label(trained)))
    yield from closed(world, trained)
    yield figure("table", str(table.write()))
    yield from ablated(trained, [one for one in results if one.training.label in ablations])
    yield from by_page(next(one for one in trained if one.training.label == MADE_FOR_TRIGGERS))


def ordered(rows: dict[str, list[Result]]) -> Iterator[Check]:
    """Hold the readers with a trigger against those without, DEI2N against all of them."""
    means = {label: mean_and_spread(figures_of(seeds, "auc"))[0] for label, seeds in rows.items()}
    for label, seeds in rows.items():
        yield figure(label, with_spread(figures_of(seeds, "auc")))
    for label, alone in PAIRS.items():
        for better, worse in ((MADE_FOR_TRIGGERS, label), (label, alone)):
            less = means[better] - means[worse]
            yield Check(f"{better} less {worse}, AUC", f"{less:+.4f}", "above 0", less > 0)


def closed(world: World, trained: list[Result]) -> Iterator[Check]:
    """Recompute oracle and count baseline; hold the best row against both."""
    samples = pl.read_parquet(world.directory / "samples.parquet")
    test = (samples["split"] == "test").to_numpy()
    labels = samples["label"].to_numpy()[test]
    oracle = exact_auc(labels, samples["probability"].to_numpy()[test])
    own = exact_auc(labels, count_scores(samples)[test])
    base = max(own, float(trained[0].figures["count_baseline"]["auc"]))
    yield figure("oracle and count baseline, AUC", f"{oracle:.4f} and {base:.4f}")
    shares = {
        label: (mean_and_spread(figures_of(seeds, "auc"))[0] - base) / (oracle - base)
        for label, seeds in by_label(trained)
    }
    best = max(shares, key=lambda label: shares[label])
    yield Check(
        f"gap closed by the best ({best})", f"{shares[best]:.1%}", "at least 90 %",
        shares[best] >= CLOSED,
    )  # fmt: skip


def ablated(trained: list[Result], ablations: list[Result]) -> Iterator[Check]:
    """Make the table of DEI2N without each of its parts."""
    whole = [one for one in trained if one.training.label == MADE_FOR_TRIGGERS]
    table = ResultTable("world-ablations", "DEI2N without its parts")
    table.add_trained(whole)
    table.add_trained(ablations)
    for label, seeds in by_label(ablations):
        yield figure(label, with_spread(figures_of(seeds, "auc")))
    yield figure("table of ablations", str(table.write()))


def by_page(result: Result) -> Iterator[Check]:
    """Hold p_trigger of the first page against that of the last, and all between.

    Few shoppers get to the last pages; those with less than 1 % of the samples are shown only.
    """
    pages = [row for row in result.figures["p_trigger_by_page"] if row["page"] is not None]
    text = ", ".join(f"{row['page']}: {row['p_trigger']:.3f} ({row['n']:,})" for row in pages)
    n_samples = sum(row["n"] for row in pages)
    values = [row["p_trigger"] for row in pages if row["n"] >= LEAST_SHARE * n_samples]
    falls = len(values) > 2 and values[-1] < values[0] and rank_correlation(values) < 0
    target = f"falls as the page number grows (pages 1 to {len(values)})"
    yield Check("p_trigger by page (samples)", text, target, falls)


def rank_correlation(values: list[float]) -> float:
    """Return Spearman's correlation of values with their place."""
    frame = pl.DataFrame({"place": range(len(values)), "value": values})
    return float(frame.select(pl.corr("place", "value", method="spearman")).item())
