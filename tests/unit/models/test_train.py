"""The two commands on tables: what they say, record, refuse, and how their bars end."""

import json
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from click.testing import CliRunner, Result
from event_files import scalars_in
from rich.console import Console
from training_process import write_tables

from interest_center.core.errors import ConfigurationError
from models.bundle import load_bundle
from models.ctr_config import default_config
from models.evaluate import evaluate
from models.train import _bundle_of_seed, below_counting, train
from models.training import Trainer
from models.training_options import TrainingOptions
from models.training_run import LOGS, TrainingPlan, _train
from models.training_state import resume_training, save_training
from models.training_tables import TrainingTables, read_training_data
from models.training_vocabulary import make_vocabulary


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> TrainingTables:
    """Write the tables of a few simulated shoppers."""
    return write_tables(tmp_path_factory.mktemp("world"), 25, 12.0)


def run_train(tables: TrainingTables, out: Path, *more: str) -> Result:
    options = ["--events", str(tables.events), "--samples", str(tables.samples), "--out", str(out)]
    return CliRunner().invoke(train, [*options, "--model", "din", "--epochs", "1", *more])


def run_evaluate(tables: TrainingTables, bundle: Path, *more: str) -> Result:
    options = ["--events", str(tables.events), "--samples", str(tables.samples), *more]
    return CliRunner().invoke(evaluate, ["--bundle", str(bundle), *options])


def test_training_says_and_records_what_it_saw(tables: TrainingTables, tmp_path: Path) -> None:
    events = pl.read_parquet(tables.events)
    # Everything once more: each id is still remembered when its twin comes, right behind it.
    twice = replace(tables, events=tmp_path / "events.parquet")
    pl.concat([events, events]).sort("event_time_ms", descending=True).write_parquet(twice.events)
    result = run_train(twice, tmp_path / "bundle")
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    assert f"left out: {len(events):,} with an id seen before, 0 late" in text
    recorded = load_bundle(tmp_path / "bundle").manifest["trained_on"]
    samples = pl.read_parquet(tables.samples)
    assert recorded["n_events"] == 2 * len(events)
    assert recorded["n_duplicate_events"] == len(events)
    assert recorded["n_late_events"] == 0
    assert recorded["n_samples"] == len(samples)
    assert recorded["n_samples_without_history"] == 0
    assert json.loads((tmp_path / "bundle" / "evaluation-test.json").read_text())["auc"] > 0
    scored = re.findall(r"requests scored +\S+ +(\d+)/(\d+)", result.output)
    assert scored
    assert all(done == total for done, total in scored)


def test_any_order_of_the_event_table_trains_the_same(
    tables: TrainingTables, tmp_path: Path
) -> None:
    events = pl.read_parquet(tables.events)
    newest_first = replace(tables, events=tmp_path / "events.parquet")
    events.sort("event_time_ms", descending=True).write_parquet(newest_first.events)
    for number, some in enumerate((tables, newest_first)):
        assert run_train(some, tmp_path / f"b{number}").exit_code == 0
    one, other = (load_bundle(tmp_path / f"b{number}").fingerprint for number in range(2))
    assert one == other


def test_tables_that_do_not_belong_together_are_refused(
    tables: TrainingTables, tmp_path: Path
) -> None:
    """Users are named otherwise, or the events are younger than all samples."""
    events = pl.read_parquet(tables.events)
    for change in (
        pl.format("user:{}", "user_id").alias("user_id"),
        (pl.col("event_time_ms") + 40 * 86_400_000).alias("event_time_ms"),
    ):
        other = replace(tables, events=tmp_path / "events.parquet")
        events.with_columns(change).write_parquet(other.events)
        with pytest.raises(ConfigurationError, match="no training sample") as refused:
            read_training_data(other)
        assert "same ids" in refused.value.hint


def test_a_place_that_cannot_be_written_to_is_found_out_before_training(
    tables: TrainingTables, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result = run_train(tables, tmp_path / "file" / "bundle")
    assert isinstance(result.exception, ConfigurationError)
    assert "cannot write" in result.exception.message
    assert "epoch" not in result.output


def test_figures_are_printed_even_if_the_report_cannot_be_written(
    tables: TrainingTables, tmp_path: Path
) -> None:
    assert run_train(tables, tmp_path / "bundle").exit_code == 0
    (tmp_path / "file").write_text("")
    for more, head in ((["--json"], '"auc"'), ([], "count baseline")):
        report = ["--report", str(tmp_path / "file" / "x")]
        result = run_evaluate(tables, tmp_path / "bundle", *more, *report)
        assert isinstance(result.exception, ConfigurationError)
        assert head in result.output


def test_a_log_goes_on_where_the_state_was_kept(tables: TrainingTables, tmp_path: Path) -> None:
    """Figures up to the state stay, the last ones included; those of later steps go."""
    data, config = read_training_data(tables), default_config("din", 7)
    vocabulary = make_vocabulary(data.joined)

    def train_epochs(epochs: int, left: Path | None) -> Trainer:
        options = TrainingOptions(epochs=epochs, patience=epochs, requests_at_once=32)
        trainer = Trainer(data.joined, vocabulary, config, options)
        if left is not None:
            assert resume_training(trainer, left, {})
        _train(TrainingPlan(config, options, "cpu", tmp_path), trainer, {}, Console(stderr=True))
        return trainer

    one = train_epochs(1, None)
    left = tmp_path / "left"
    save_training(one, left, {})
    before = scalars_in(tmp_path / LOGS)
    assert before["validation/auc"][-1][0] == one.position.step
    train_epochs(3, left)
    two = train_epochs(2, left)
    shown = scalars_in(tmp_path / LOGS)
    for tag, points in before.items():
        assert shown[tag][: len(points)] == points
    steps = [step for step, _ in shown["validation/auc"]]
    assert steps == [one.position.step, two.position.step]


def test_a_seed_that_is_done_is_not_trained_again(
    tables: TrainingTables, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, options = read_training_data(tables), TrainingOptions(epochs=1)
    plan = TrainingPlan(default_config("din", 7), options, "cpu", tmp_path)
    first = _bundle_of_seed(plan, data)
    assert first is not None
    assert "trained to its end before" not in capsys.readouterr().err
    written_at = (tmp_path / "manifest.json").stat().st_mtime_ns
    again = _bundle_of_seed(plan, data)
    assert again is not None
    assert again.fingerprint == first.fingerprint
    assert "seed 0 was trained to its end before" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "manifest.json").stat().st_mtime_ns == written_at
    # Another training into the same directory is another one, done or not.
    other = _bundle_of_seed(replace(plan, options=replace(options, learning_rate=0.01)), data)
    assert other is not None
    assert other.fingerprint != first.fingerprint
    assert "trained to its end before" not in capsys.readouterr().err


@pytest.mark.parametrize("model", ["din", "din+mimn"])
def test_bars_are_full_when_training_stops_early(
    tables: TrainingTables, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = read_training_data(tables).joined
    # Too fast to get any better after the first epochs.
    options = TrainingOptions(epochs=30, patience=1, learning_rate=0.3, decay=1.0)
    config = default_config(model, 7)
    trainer = Trainer(data, make_vocabulary(data), config, options)
    plan = TrainingPlan(config, options, "cpu", tmp_path)
    trained, _ = _train(plan, trainer, {}, Console(stderr=True))
    assert len(trained.epochs) < options.epochs
    bars = re.findall(r"(?:requests|memories) (\w+) +\S+ +(\d+)/(\d+)", capsys.readouterr().err)
    assert len(bars) == (3 if model == "din+mimn" else 2)
    assert all(done == total for _, done, total in bars)
    done = {verb: int(count) for verb, count, _ in bars}
    assert done["trained"] == len(trainer.train_requests) * len(trained.epochs)
    assert done["validated"] == len(trainer.validation_requests) * len(trained.epochs)


def test_training_says_where_the_split_came_from_and_what_it_does_not_read(
    tables: TrainingTables, tmp_path: Path
) -> None:
    odd = replace(tables, samples=tmp_path / "samples.csv")
    pl.read_parquet(tables.samples).drop("split").with_columns(foo=1).write_csv(odd.samples)
    result = run_train(odd, tmp_path / "bundle", "--exclude-days", "2020-01-01")
    assert result.exit_code == 0, result.output
    assert f"columns of {odd.samples} not read: foo\n" in result.stderr
    assert f"split by time: {odd.samples} has no column split\n" in result.stderr
    assert "excluded days without a training sample: 2020-01-01; " in result.stderr
    result = run_evaluate(odd, tmp_path / "bundle", "--json")
    assert f"columns of {odd.samples} not read: foo\n" in result.stderr
    assert json.loads(result.stdout)["auc"] > 0


def test_a_finished_bundle_is_not_replaced_silently(tables: TrainingTables, tmp_path: Path) -> None:
    assert "holds the finished bundle" not in run_train(tables, tmp_path).stderr
    there = load_bundle(tmp_path).fingerprint
    said = " ".join(run_train(tables, tmp_path, "--seed", "1").stderr.split())
    assert f"holds the finished bundle {there} (din): it is replaced" in said
    assert said.index("it is replaced") < said.index("epoch 1")
    said = " ".join(run_train(tables, tmp_path, "--seeds", "2").stderr.split())
    assert said.count("holds the finished bundle") == 1


def test_why_there_are_no_intervals_is_said(tables: TrainingTables, tmp_path: Path) -> None:
    samples = pl.read_parquet(tables.samples)
    few = replace(tables, samples=tmp_path / "samples.parquet")
    some = samples["user_id"].unique().sort()[:8]
    samples.filter(pl.col("user_id").is_in(some.implode())).write_parquet(few.samples)
    why = "No interval (-) where the samples are of fewer than 10 users."
    assert why in " ".join(run_train(few, tmp_path / "few").stdout.split())
    assert why not in " ".join(run_train(tables, tmp_path / "all").stdout.split())


def test_below_the_count_baseline_it_is_said_what_to_try(
    tables: TrainingTables, tmp_path: Path
) -> None:
    # One step of next to nothing: the model has learnt nothing yet.
    poor = ["--set", "learning_rate=1e-9", "--set", "requests_at_once=100000"]
    said = " ".join(run_train(tables, tmp_path, *poor).stdout.split())
    assert "is below that of counting clicks" in said
    assert "raise --epochs" in said
    bundle = load_bundle(tmp_path)
    report = json.loads((tmp_path / "evaluation-test.json").read_text())
    assert report["auc"] < report["count_baseline"]["auc"]
    record = bundle.manifest["trained_on"]
    assert record["options"]["epochs"] == 1


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"n_samples_without_history": 60}, "give events of an earlier time"),
        ({}, "raise --epochs"),
        ({"epochs": 3}, "--set user_dim=16"),
        ({"epochs": 3, "user_dim": 8}, "--set row_decay=0.5"),
    ],
)
def test_the_advice_follows_from_the_training(changes: dict[str, int], advice: str) -> None:
    manifest = {
        "trained_on": {
            "n_samples": 100,
            "n_samples_without_history": changes.get("n_samples_without_history", 0),
            "options": {"epochs": changes.get("epochs", 2)},
        },
        "metrics": {"epochs": [{"auc": 0.5}, {"auc": 0.6}]},
        "config": {"user_dim": changes.get("user_dim", 0)},
    }
    said = below_counting(0.55, 0.6, manifest)
    assert said.startswith("the AUC 0.5500 is below that of counting clicks, 0.6000: ")
    assert advice in said
    assert below_counting(0.6, 0.6, manifest) == ""
    assert below_counting(float("nan"), 0.6, manifest) == ""


def test_help_tells_columns_splits_and_defaults() -> None:
    text = " ".join(CliRunner().invoke(train, ["--help"]).output.split())
    assert "Required: user_id, item_id, event_type, event_time_ms. Optional: category_id" in text
    assert "Required: user_id, item_id, time_ms, label. Optional: category_id, split" in text
    assert "one of train, validation, valid, val, dev, test" in text
    assert "OUT/seed-N with logs in OUT/seed-N/logs" in text
    assert "--set seed=N. [default: 0]" in text
