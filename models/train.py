"""``uic train``: event and sample tables to a bundle."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig, load_state_config
from models.bundle import Bundle, TrainingRecord, load_bundle, save_bundle
from models.ctr_model import default_config, weights_of
from models.evaluate import DEFAULT_THREADS, make_progress, table_of
from models.evaluation import Evaluation, evaluate_bundle, write_report
from models.registry import model_names
from models.samples import PointInTime, point_in_time
from models.tables import SPLITS, Samples, read_events, read_samples
from models.training import Progress, Trained, Trainer, TrainingOptions, make_vocabulary

_DEFAULTS = TrainingOptions()
_TABLES = ("events", "samples")


@dataclass(frozen=True)
class TrainingTables:
    """What a training reads, and where from.

    Attributes:
        events: Event table.
        samples: Sample table.
        state: Rules of the state that the ranking will read.
    """

    events: Path
    samples: Path
    state: StateConfig


def read_training_data(tables: TrainingTables) -> tuple[PointInTime, Samples]:
    """Read and join the tables.

    Raises:
        ConfigurationError: A table cannot be used, or a split that training needs is empty.
    """
    samples = read_samples(tables.samples)
    for code, name in enumerate(SPLITS[:2]):
        labels = samples.labels[samples.splits == code]
        if labels.min(initial=1) == labels.max(initial=0):
            raise ConfigurationError(
                f"split {name} of {tables.samples} needs samples with and without a click"
            )
    return point_in_time(read_events(tables.events, tables.state), samples, tables.state), samples


def _train(
    trainer: Trainer, options: TrainingOptions, console: Console
) -> tuple[Trained, dict[str, Any]]:
    """Train with a progress bar; return the result and its figures."""
    began = time.perf_counter()
    with make_progress() as bar:
        total = len(trainer.train_requests) * options.epochs
        task = bar.add_task("requests trained", total=total)

        def on_epoch(epoch: int, figures: dict[str, float]) -> None:
            bar.console.print(
                f"epoch {epoch + 1}: train log loss {figures['train_log_loss']:.4f}, "
                f"validation AUC {figures['auc']:.4f}, log loss {figures['log_loss']:.4f}"
            )

        trained = trainer.train(Progress(lambda k: bar.advance(task, k), on_epoch))
    seconds = round(time.perf_counter() - began, 1)
    console.print(f"kept epoch {trained.best + 1} of {len(trained.epochs)}, {seconds:.0f} s")
    best = trained.epochs[trained.best]
    figures = {"validation": best, "epochs": trained.epochs, "training_seconds": seconds}
    return trained, figures


def train_bundle(
    tables: TrainingTables, model: str, options: TrainingOptions, directory: Path
) -> tuple[Bundle, Evaluation]:
    """Train a model, write its bundle, and score it once on the test split, if there is one.

    Raises:
        ConfigurationError: The tables cannot be used or there is no such model.
    """
    console = Console(stderr=True)
    config = default_config(model, len(tables.state.event_types), tables.state.n_behaviors)
    data, samples = read_training_data(tables)
    vocabulary = make_vocabulary(data)
    console.print(
        f"{model}: {int((samples.splits == 0).sum()):,} samples of {len(data.ring.starts) - 1:,} "
        f"users, {len(data.ring.items):,} behaviors, {len(vocabulary.items):,} items"
    )
    trainer = Trainer(data, vocabulary, config, options)
    trained, figures = _train(trainer, options, console)
    record = TrainingRecord(
        metrics=figures,
        trained_on={
            "events": str(tables.events),
            "samples": str(tables.samples),
            "n_events": len(data.memory.items),
            "n_samples": len(samples.labels),
            "options": asdict(options),
        },
    )
    save_bundle(
        directory, config.to_dict(), tables.state, vocabulary, weights_of(trained.model), record
    )
    bundle = load_bundle(directory)
    split = SPLITS[int(samples.splits.max())]
    evaluation = evaluate_bundle(bundle, data, samples, split)
    write_report(evaluation, {name: str(record.trained_on[name]) for name in _TABLES}, directory)
    return bundle, evaluation


@click.command("train")
@click.option(
    "--events", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="Event table, CSV or parquet: user_id, item_id, category_id, event_type, event_time_ms.",
)  # fmt: skip
@click.option(
    "--samples", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="Sample table: user_id, item_id, category_id, time_ms, label, split; optional "
    "trigger_item_id, trigger_category_id, page.",
)  # fmt: skip
@click.option("--model", type=click.Choice(model_names()), default="din+mimn", show_default=True)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True,
    help="Directory of the bundle.",
)  # fmt: skip
@click.option("--epochs", default=_DEFAULTS.epochs, show_default=True, help="At most.")
@click.option("--learning-rate", default=_DEFAULTS.learning_rate, show_default=True)
@click.option("--seed", default=_DEFAULTS.seed, show_default=True)
@click.option(
    "--state-config", type=click.Path(dir_okay=False, path_type=Path),
    help="JSON of the state rules, as the worker's UIC_STATE_CONFIG; default: the defaults.",
)  # fmt: skip
@click.option("--threads", default=DEFAULT_THREADS, show_default=True, help="Threads of torch.")
def train(  # noqa: PLR0913 - one parameter an option
    events: Path,
    samples: Path,
    model: str,
    out: Path,
    epochs: int,
    learning_rate: float,
    seed: int,
    state_config: Path | None,
    threads: int,
) -> None:
    r"""Train a model on your own logs and write a bundle that the workers can use.

    A sample sees the events strictly before its time. Training stops when the validation split no
    longer improves; then the test split, if there is one, is scored once and reported. Without a
    split column the latest tenth by time is for testing and the tenth before it for validation.

    \b
    Example:
      uic simulate --seed 7 --out sim7
      uic train --events sim7/events.parquet --samples sim7/samples.parquet --out bundle7
    """
    if epochs < 1:
        raise ConfigurationError(f"cannot train for {epochs} epochs", hint="give at least 1")
    torch.set_num_threads(threads)
    tables = TrainingTables(events, samples, load_state_config(state_config))
    options = TrainingOptions(epochs=epochs, learning_rate=learning_rate, seed=seed)
    bundle, evaluation = train_bundle(tables, model, options, out)
    console = Console()
    console.print(table_of(evaluation))
    console.print(f"bundle {bundle.fingerprint} written to {out}")
