"""Reports of what cannot be told are still reports, and figures survive a report that fails."""

import json
import math
from pathlib import Path

import pytest

from interest_center.core.errors import ConfigurationError
from models.evaluate import table_of
from models.evaluation import Evaluation, markdown_of, write_report

NAN = float("nan")


def figures(auc: float) -> dict[str, float | int]:
    return {"auc": auc, "gauc": auc, "log_loss": 0.5, "n": 10}


def evaluation(model: float, counts: float | None, oracle: float | None) -> Evaluation:
    return Evaluation(
        bundle="0123456789abcdef",
        model="din",
        split="test",
        figures=figures(model),
        without_memory=None,
        count_baseline=None if counts is None else figures(counts),
        oracle=None if oracle is None else figures(oracle),
    )


def test_the_gap_closed_is_a_share() -> None:
    assert evaluation(0.7, 0.6, 0.8).gap_closed() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("model", "counts", "oracle"),
    [(0.7, None, 0.8), (0.7, 0.6, None), (0.7, 0.6, 0.6), (0.7, 0.6, 0.5), (NAN, NAN, NAN)],
)
def test_without_a_gap_nothing_is_closed(
    tmp_path: Path, model: float, counts: float | None, oracle: float | None
) -> None:
    found = evaluation(model, counts, oracle)
    assert found.gap_closed() is None
    assert table_of(found).caption is None
    path = write_report(found, {"events": "e.csv"}, tmp_path)
    assert "Gap" not in path.read_text()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    values = json.loads((tmp_path / "evaluation-test.json").read_text(), parse_constant=refuse)
    assert values["gap_closed"] is None
    assert values["auc"] == (None if math.isnan(model) else model)


def test_a_directory_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"cannot write to .*file"):
        write_report(evaluation(0.7, 0.6, 0.8), {}, tmp_path / "file" / "report")


def test_the_report_names_its_data() -> None:
    assert "events: e.csv" in markdown_of(evaluation(0.7, 0.6, 0.8), {"events": "e.csv"})
