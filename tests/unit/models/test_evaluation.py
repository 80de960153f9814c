"""Figures of hand-made scores; reports of what cannot be told are still reports."""

import json
import math
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from small_logs import make_small_log

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from models.bootstrap import BootstrapOptions
from models.ctr_metrics import auc, relative_improvement
from models.evaluate import table_of
from models.evaluation import Evaluation, evaluate
from models.report import markdown_of, write_report
from models.report_tables import tables_of, terminal_table
from models.samples import point_in_time
from models.split_scores import SplitScores, StaleScores, count_baseline_scores, split_samples

NAN = float("nan")
OPTIONS = BootstrapOptions(50, seed=1)


def make_scores() -> SplitScores:
    """Return noisy scores of a small log, beside better and worse ones."""
    events, samples = make_small_log()
    shown = split_samples(point_in_time(events, samples, StateConfig()), samples, "test")
    rng = np.random.default_rng(2)
    noise = rng.normal(size=len(shown.rows))
    better, own, worse = (
        1 / (1 + np.exp(-(strength * (2 * shown.labels - 1) + noise)))
        for strength in (1.5, 0.8, 0.2)
    )
    counted = count_baseline_scores(samples)
    assert counted is not None
    return SplitScores(
        model="din+mimn",
        bundle="0123456789abcdef",
        samples=shown,
        own=own,
        without_memory=worse,
        bases={"din (there)": better},
        count_baseline=counted[shown.rows],
        oracle=better,
        stale=(
            StaleScores(0, own.copy(), np.zeros(len(own), np.int64)),
            StaleScores(3_600_000, (own + worse) / 2, np.full(len(own), 2)),
        ),
    )


@pytest.fixture(scope="module")
def scores() -> SplitScores:
    return make_scores()


@pytest.fixture(scope="module")
def found(scores: SplitScores) -> Evaluation:
    return evaluate(scores, OPTIONS)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def with_aucs(
    found: Evaluation, model: float, counts: float | None, oracle: float | None
) -> Evaluation:
    def figures(value: float | None) -> dict[str, float] | None:
        return None if value is None else {**found.figures, "auc": value, "gauc": value}

    own = figures(model)
    assert own is not None
    return replace(found, figures=own, count_baseline=figures(counts), oracle=figures(oracle))


def test_comparisons_are_against_everything_but_the_oracle(
    scores: SplitScores, found: Evaluation
) -> None:
    assert [c.base for c in found.comparisons] == [
        "memory not read",
        "din (there)",
        "count baseline",
    ]
    labels = scores.samples.labels
    for comparison, base in zip(found.comparisons, scores.rivals().values(), strict=True):
        own, other = auc(labels, scores.own), auc(labels, base)
        assert comparison.difference.auc == pytest.approx(own - other)
        assert comparison.rela_impr == pytest.approx(relative_improvement(own, other))
        low, high = comparison.difference.auc_interval
        assert low <= comparison.difference.auc <= high
    better = found.comparisons[1].difference
    assert better.auc_interval[1] < 0 < found.comparisons[0].difference.auc_interval[0]


def test_segments_add_up_to_the_split(scores: SplitScores, found: Evaluation) -> None:
    by_kind = found.segments_by_kind()
    assert list(by_kind) == ["history_length", "trigger", "page"]
    for segments in by_kind.values():
        assert len(segments) > 1
        sizes = np.array([s.figures["n"] for s in segments])
        assert sizes.sum() == found.figures["n"]
        for name in ("log_loss", "click_rate"):
            parts = np.array([s.figures[name] for s in segments])
            assert sizes @ parts / sizes.sum() == pytest.approx(found.figures[name])
        for segment in segments:
            assert set(segment.base_aucs) == set(scores.rivals())


def test_staleness_is_a_difference_to_the_live_scores(found: Evaluation) -> None:
    live, stale = found.staleness
    assert live.difference.auc == 0
    assert live.difference.auc_interval == (0, 0)
    assert stale.difference.auc == pytest.approx(stale.figures["auc"] - found.figures["auc"])
    low, high = stale.difference.auc_interval
    assert low <= stale.difference.auc <= high < 0
    # Half way between the live scores and those without memory.
    assert low > found.comparisons[0].difference.auc * -1
    assert stale.missed_behaviors == 2


def test_json_has_the_figures_at_the_top(found: Evaluation) -> None:
    text = json.dumps(found.to_dict(), allow_nan=False)
    values = json.loads(text, parse_constant=refuse)
    assert values["auc"] == found.figures["auc"]
    assert {"auc", "gauc", "log_loss", "n", "calibration_error"} <= set(values)
    assert values["count_baseline"]["auc_interval"] == list(
        found.count_baseline["auc_interval"]  # type: ignore[index]
    )
    assert sum(part["n"] for part in values["calibration"]["bins"]) == values["n"]
    assert sum(part["n"] for part in values["segments"]["page"]) == values["n"]
    assert values["staleness"][1]["difference"]["auc"] < 0
    assert values["comparisons"][1]["base"] == "din (there)"
    assert values["bases"]["din (there)"]["auc"] > values["auc"]
    assert values["bootstrap"] == {
        "n_resamples": 50, "seed": 1, "drawn": "users", "confidence": 0.95,
    }  # fmt: skip


def test_every_table_fits_a_terminal(found: Evaluation) -> None:
    console = Console(width=80, record=True, file=StringIO())
    tables = tables_of(found)
    assert len(tables) == 8
    for table in tables:
        console.print(terminal_table(table))
        for row in table.rows:
            assert len(row) == len(table.columns)
    text = console.export_text()
    for table in tables:
        for row in table.rows:
            assert all(cell in text for cell in row[1:])
    for table in tables:
        assert f"## {table.title}" in markdown_of(found, {})


def test_the_gap_closed_is_a_share(found: Evaluation) -> None:
    assert with_aucs(found, 0.7, 0.6, 0.8).gap_closed() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("model", "counts", "oracle"),
    [(0.7, None, 0.8), (0.7, 0.6, None), (0.7, 0.6, 0.6), (0.7, 0.6, 0.5), (NAN, NAN, NAN),
     (NAN, 0.5, 0.8)],
)  # fmt: skip
def test_without_a_gap_nothing_is_closed(
    found: Evaluation, tmp_path: Path, model: float, counts: float | None, oracle: float | None
) -> None:
    changed = with_aucs(found, model, counts, oracle)
    assert changed.gap_closed() is None
    assert table_of(changed).caption is None
    path = write_report(changed, {"events": "e.csv"}, tmp_path)
    assert "Gap" not in path.read_text()
    values = json.loads((tmp_path / "evaluation-test.json").read_text(), parse_constant=refuse)
    assert values["gap_closed"] is None
    assert values["auc"] == (None if math.isnan(model) else model)


def test_a_split_of_one_class_is_evaluated(scores: SplitScores, tmp_path: Path) -> None:
    nobody = replace(scores.samples, labels=np.zeros_like(scores.samples.labels))
    found = evaluate(replace(scores, samples=nobody), OPTIONS)
    values = found.to_dict()
    assert (values["auc"], values["gauc"], values["predicted_to_observed"]) == (None, None, None)
    assert values["auc_interval"] == [None, None]
    assert values["log_loss"] > 0
    text = write_report(found, {}, tmp_path).read_text()
    assert "nan" not in text


def test_a_directory_that_cannot_be_written_to_is_named(found: Evaluation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot write to .*file"):
        write_report(found, {}, tmp_path / "file" / "report")


def test_the_report_names_its_data(found: Evaluation) -> None:
    assert "events: e.csv" in markdown_of(found, {"events": "e.csv"})
