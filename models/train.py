"""``uic train``: event and sample tables to a bundle."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from interest_center.core.layout import load_state_config
from models.bundle import Bundle, TrainingRecord, save_bundle
from models.ctr_model import weights_of
from models.evaluate import DEFAULT_THREADS, evaluate_with_bar, table_of
from models.evaluation import Evaluation
from models.excluded_days import parse_days
from models.interruption import interruptible
from models.processes import join_processes, leads, leave_processes, told_by_leader
from models.recipe import read_recipe
from models.report import write_report
from models.table_notes import training_notes
from models.tables import (
    EVENT_COLUMNS,
    OPTIONAL_EVENT_COLUMNS,
    OPTIONAL_SAMPLE_COLUMNS,
    SAMPLE_COLUMNS,
    SPLIT_NAMES,
    SPLITS,
)
from models.training_options import TrainingOptions
from models.training_run import TrainingPlan, finished_bundle, tell_replaced, train_bundle
from models.training_state import remove_state
from models.training_tables import TrainingData, TrainingTables, read_training_data

_DEFAULT_MODEL = "din+mimn"


def train_seeds(
    plan: TrainingPlan, data: TrainingData, n_seeds: int
) -> list[tuple[Bundle, Evaluation]]:
    """Train with seeds one after the other, several in a directory each.

    Of several seeds those that were trained to their end before are not trained again.

    Returns:
        Bundle and test figures of each seed; nothing in a process that does not lead.
    """
    split = SPLITS[int(data.samples.splits.max())]
    if leads():
        _tell(plan, data, n_seeds)
    first, found = plan.options.seed, list[tuple[Bundle, Evaluation]]()
    for seed in range(first, first + n_seeds):
        directory = plan.directory if n_seeds == 1 else plan.directory / f"seed-{seed}"
        own = replace(plan, options=replace(plan.options, seed=seed), directory=directory)
        bundle = train_bundle(own, data) if n_seeds == 1 else _bundle_of_seed(own, data)
        if bundle is None:
            continue
        evaluation = evaluate_with_bar(bundle, data.joined, data.samples, split)
        write_report(evaluation, data.files, directory)
        found.append((bundle, evaluation))
    return found


def _tell(plan: TrainingPlan, data: TrainingData, n_seeds: int) -> None:
    """Say what was read, and of several seeds that the bundle of an earlier best one is there."""
    for note in training_notes(data):
        click.echo(note, err=True)
    if n_seeds > 1:
        tell_replaced(plan.directory, Console(stderr=True))


def _bundle_of_seed(plan: TrainingPlan, data: TrainingData) -> Bundle | None:
    """Return the bundle of one of several seeds, trained now or before."""
    done = finished_bundle(plan, data) if leads() else None
    if not told_by_leader(lambda: done is not None):
        return train_bundle(plan, data)
    if done is not None:
        Console(stderr=True).print(
            f"seed {plan.options.seed} was trained to its end before: {plan.directory} is kept"
        )
        remove_state(plan.directory)
    return done


def print_seeds(found: Sequence[tuple[Bundle, Evaluation]], console: Console) -> None:
    """Print the figures of several seeds, their mean and standard deviation."""
    table = Table(title=f"{found[0][0].name}, {len(found)} seeds")
    for head in ("seed", "validation AUC", "test AUC", "GAUC", "log loss"):
        table.add_column(head, justify="right")
    rows = [
        (
            bundle.manifest["metrics"]["validation"]["auc"],
            evaluation.figures["auc"],
            evaluation.figures["gauc"],
            evaluation.figures["log_loss"],
        )
        for bundle, evaluation in found
    ]
    for (bundle, _), row in zip(found, rows, strict=True):
        seed = bundle.manifest["trained_on"]["options"]["seed"]
        table.add_row(str(seed), *(f"{value:.4f}" for value in row))
    columns = np.array(rows)
    spread = columns.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros(len(columns[0]))
    table.add_section()
    table.add_row(
        "mean", *(f"{m:.4f} ± {s:.4f}" for m, s in zip(columns.mean(axis=0), spread, strict=True))
    )
    console.print(table)


EXAMPLE = """\b
Examples:
  uic simulate --seed 7 --out sim7
  uic train --events sim7/events.parquet --samples sim7/samples.parquet --out bundle7
  uic train --events E --samples S --model din --set history_length=50 --seeds 3 --out D
  torchrun --nproc-per-node 2 --no-python uic train --events E --samples S --out D
"""


@click.command("train", epilog=EXAMPLE)
@click.option(
    "--events", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="Event table, CSV (with commas) or parquet, rows and columns in any order. Required: "
    f"{', '.join(EVENT_COLUMNS)}. Optional: {', '.join(OPTIONAL_EVENT_COLUMNS)}.",
)  # fmt: skip
@click.option(
    "--samples", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help=f"Sample table. Required: {', '.join(SAMPLE_COLUMNS)}. Optional: "
    f"{', '.join(OPTIONAL_SAMPLE_COLUMNS)}. A split is one of {', '.join(SPLIT_NAMES)}; valid, val "
    "and dev mean validation.",
)  # fmt: skip
@click.option(
    "--model", metavar="NAME",
    help="Reader, or reader+memory, for example din or dien+hpmn; an unknown name lists all.  "
    f"[default: {_DEFAULT_MODEL}]",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True,
    help="Directory of the bundle. A training that was interrupted there is taken up; a finished "
    "bundle there is replaced.",
)  # fmt: skip
@click.option(
    "--recipe", type=click.Path(dir_okay=False, path_type=Path),
    help='JSON of values to set, {"model": ..., "epochs": ...}.',
)  # fmt: skip
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE",
    help="A size or option of the model or of the training, see models/ctr_config.py and "
    "models/training_options.py; reader.NAME and memory.NAME for the model's parts.",
)  # fmt: skip
@click.option(
    "--epochs", type=click.IntRange(min=1),
    help=f"At most; short for --set epochs=N.  [default: {TrainingOptions.epochs}]",
)  # fmt: skip
@click.option(
    "--seed", type=int, help=f"Short for --set seed=N.  [default: {TrainingOptions.seed}]"
)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=1, show_default=True,
    help="Train so many times, with seed, seed + 1, ...: each in OUT/seed-N with logs in "
    "OUT/seed-N/logs; the bundle that validates best is also written to OUT. With one seed "
    "everything is in OUT itself.",
)  # fmt: skip
@click.option(
    "--exclude-days", metavar="DAYS",
    help="Days (UTC) whose samples are not trained on: 2026-11-11,2026-12-24..2026-12-26.",
)  # fmt: skip
@click.option(
    "--state-config", type=click.Path(dir_okay=False, path_type=Path),
    help="JSON of the state rules, as the worker's UIC_STATE_CONFIG; default: the defaults.",
)  # fmt: skip
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option("--threads", default=DEFAULT_THREADS, show_default=True, help="Threads of torch.")
def train(  # noqa: PLR0913 - one parameter an option
    events: Path,
    samples: Path,
    model: str | None,
    out: Path,
    recipe: Path | None,
    settings: tuple[str, ...],
    epochs: int | None,
    seed: int | None,
    seeds: int,
    exclude_days: str | None,
    state_config: Path | None,
    device: str,
    threads: int,
) -> None:
    """Train a model on your own logs and write a bundle that the workers can use.

    A sample sees the events strictly before its time. Events are taken in the order of their times,
    those of equal time in the order of the table; with a column event_id a second event of an id
    counts as little as it does in a worker. Where both tables have a column order, it decides
    among events and samples of equal time; where events have an offset and samples a watermark, as
    `uic exposures` writes them, a sample sees the events below its watermark. Training stops when
    the validation split no longer improves; then the test split, if there is one, is scored once
    and reported. Without a split column the latest tenth by time is for testing and the tenth
    before it for validation.

    Progress is also written to OUT/logs, for TensorBoard. The state of a training is kept in OUT
    after each epoch, and within a long one after parts of it (part_size): after an interruption
    the same command takes it up from there and ends with the same weights. Of several seeds those
    that are finished are kept.
    """
    torch.set_num_threads(threads)
    given = {"epochs": epochs, "seed": seed}
    settings += tuple(f"{name}={value}" for name, value in given.items() if value is not None)
    if model is None and recipe is None:
        model = _DEFAULT_MODEL
    wanted = read_recipe(recipe, model, settings)
    state = load_state_config(state_config)
    config, options = wanted.configs(state)
    tables = TrainingTables(events, samples, state, parse_days(exclude_days or ""))
    plan = TrainingPlan(config, options, join_processes(device), out)
    with interruptible(out):
        found = train_seeds(plan, read_training_data(tables), seeds)
        leave_processes()
        if found:
            _finish(found, out)


def below_counting(own: float, counted: float, manifest: dict[str, Any]) -> str:
    """Say what to try first when counting clicks does better than the model; else nothing.

    Args:
        own: AUC of the model.
        counted: AUC of the count baseline.
        manifest: Of the model's bundle.
    """
    if not own < counted:
        return ""
    record = manifest["trained_on"]
    auc = [figures["auc"] for figures in manifest["metrics"]["epochs"]]
    if 2 * record["n_samples_without_history"] > record["n_samples"]:
        advice = "most samples have no earlier event of their user: give events of an earlier time"
    elif len(auc) == record["options"]["epochs"] and auc[-1] == max(auc):
        advice = "validation was best in the last epoch: raise --epochs"
    elif not manifest["config"]["user_dim"]:
        advice = "counting knows each user's own click rate: try --set user_dim=16 first"
    else:
        advice = "try --set row_decay=0.5 first, which fits single ids less"
    return f"the AUC {own:.4f} is below that of counting clicks, {counted:.4f}: {advice}"


def _finish(found: list[tuple[Bundle, Evaluation]], out: Path) -> None:
    """Print the figures; of several seeds keep the bundle that validates best."""
    console = Console()
    bundle, evaluation = max(
        found, key=lambda pair: pair[0].manifest["metrics"]["validation"]["auc"]
    )
    if len(found) > 1:
        print_seeds(found, console)
        metrics, about = bundle.manifest["metrics"], bundle.manifest["trained_on"]
        save_bundle(
            out,
            bundle.manifest["config"],
            bundle.state,
            bundle.vocabulary,
            weights_of(bundle.ranker.model),
            TrainingRecord(metrics, about),
        )
        write_report(evaluation, {name: about[name] for name in ("events", "samples")}, out)
    console.print(table_of(evaluation))
    counted = evaluation.count_baseline
    if counted is not None:
        hint = below_counting(evaluation.figures["auc"], counted["auc"], bundle.manifest)
        console.print(hint, end="\n" if hint else "")
    console.print(f"bundle {bundle.fingerprint} written to {out}")
