"""``uic evaluate`` on tables: what it prints, writes and refuses."""

import json
import sys
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from training_process import write_tables

from interest_center.core.errors import ConfigurationError
from models.bundle import untrained_bundle
from models.evaluate import evaluate


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write tables of a few simulated shoppers, and two bundles that know none of their items."""
    directory = tmp_path_factory.mktemp("world")
    write_tables(directory, 25, 12.0)
    untrained_bundle(directory / "mimn", "din+mimn")
    untrained_bundle(directory / "din", "din")
    return directory


def run(world: Path, out: Path, *more: str) -> Result:
    tables = [
        "--events",
        str(world / "events.parquet"),
        "--samples",
        str(world / "samples.parquet"),
    ]
    common = ["--bundle", str(world / "mimn"), "--report", str(out), "--threads", "1"]
    return CliRunner().invoke(evaluate, [*common, *tables, *more])


def refused(result: Result) -> ConfigurationError:
    """Return the refusal of a run that printed no figures."""
    assert isinstance(result.exception, ConfigurationError), result.output
    assert "AUC" not in result.output
    return result.exception


def test_json_holds_all_that_was_asked(world: Path, tmp_path: Path) -> None:
    options = ["--json", "--staleness", "0,1d", "--base", str(world / "din"), "--resamples", "20"]
    result = run(world, tmp_path, *options, "--html", str(tmp_path / "page.html"))
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert {"auc", "gauc", "log_loss", "n"} <= set(values)
    base = f"din ({world / 'din'})"
    assert [c["base"] for c in values["comparisons"]] == ["memory not read", base, "count baseline"]
    assert [older["lag_ms"] for older in values["staleness"]] == [0, 86_400_000]
    assert values["staleness"][0]["auc"] == values["auc"]
    assert values["bootstrap"]["n_resamples"] == 20
    written = json.loads((tmp_path / "evaluation-test.json").read_text())
    assert {**written, "data": None} == {**values, "data": None}
    page = (tmp_path / "page.html").read_text()
    assert "attention" in page
    samples = pl.read_parquet(world / "samples.parquet")
    shown = set(samples["item_id"].cast(pl.String))
    assert any(f"item {item} of category" in page for item in shown)


def test_tables_are_printed(world: Path, tmp_path: Path) -> None:
    result = run(world, tmp_path, "--staleness", "1h")
    assert result.exit_code == 0, result.output
    for title in ("less each base", "Calibration", "By behaviors", "By trigger", "By page", "age"):
        assert title in result.stdout
    assert "count baseline" in result.stdout
    # A long path is wrapped.
    assert "evaluation-test.md" in result.stdout.replace("\n", "")


def test_a_wrong_duration_is_refused_before_any_work(world: Path, tmp_path: Path) -> None:
    error = refused(run(world, tmp_path, "--staleness", "1h,soon"))
    assert "'soon' is not a duration" in error.message


def test_the_attention_shown_is_of_the_request_asked_for(world: Path, tmp_path: Path) -> None:
    samples = pl.read_parquet(world / "samples.parquet").with_row_index()
    row = int(samples.filter(pl.col("split") == "test")["index"][7])
    page = tmp_path / "page.html"
    result = run(world, tmp_path, "--html", str(page), "--request", str(row))
    assert result.exit_code == 0, result.output
    item = samples["item_id"].cast(pl.String)[row]
    assert f"Sample {row}: item {item} of" in page.read_text()


def test_a_request_that_cannot_be_shown_is_refused(world: Path, tmp_path: Path) -> None:
    samples = pl.read_parquet(world / "samples.parquet").with_row_index()
    row = int(samples.filter(pl.col("split") == "train")["index"][0])
    error = refused(run(world, tmp_path, "--html", str(tmp_path / "p.html"), "--request", str(row)))
    assert error.message == f"sample {row} is not in split test"
    error = refused(run(world, tmp_path, "--request", str(row)))
    assert "--html" in error.hint


@pytest.mark.parametrize("package", ["matplotlib", "sklearn"])
def test_without_the_extra_the_page_is_refused_and_nothing_else(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    error = refused(run(world, tmp_path, "--html", str(tmp_path / "p.html")))
    assert package in error.message
    assert "interest-center[report]" in error.hint
    assert run(world, tmp_path, "--resamples", "2").exit_code == 0
