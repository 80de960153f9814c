"""``uic train``: event and sample tables to a bundle."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig, load_state_config
from models.bundle import Bundle, TrainingRecord, load_bundle, save_bundle
from models.bundle_files import writing
from models.ctr_model import default_config, weights_of
from models.evaluate import DEFAULT_THREADS, evaluate_with_bar, make_progress, table_of
from models.evaluation import Evaluation, write_report
from models.registry import model_names
from models.samples import PointInTime, point_in_time
from models.tables import SPLITS, TRAIN, Samples, read_events, read_samples
from models.training import Trained, Trainer, make_vocabulary
from models.training_options import Progress, TrainingOptions

_DEFAULTS = TrainingOptions()


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

    @property
    def files(self) -> dict[str, str]:
        """The files by name, for a report."""
        return {"events": str(self.events), "samples": str(self.samples)}


def read_training_data(tables: TrainingTables) -> tuple[PointInTime, Samples, dict[str, int]]:
    """Read and join the tables; return them and how many rows of what there are.

    Raises:
        ConfigurationError: A table cannot be used, a split that training needs is empty, or the
            tables do not belong together.
    """
    samples = read_samples(tables.samples)
    for code, name in enumerate(SPLITS[:2]):
        labels = samples.labels[samples.splits == code]
        if code == TRAIN and not len(labels):
            raise ConfigurationError(
                f"{tables.samples} has no row of split train",
                hint="its column split holds train, validation and test; without the column the "
                "splits are made by time",
            )
        if labels.min(initial=1) == labels.max(initial=0):
            raise ConfigurationError(
                f"split {name} of {tables.samples} needs samples with and without a click"
            )
    events = read_events(tables.events, tables.state)
    data = point_in_time(events, samples, tables.state)
    if not data.has_history[data.requests.splits == TRAIN].any():
        raise ConfigurationError(
            f"no training sample of {tables.samples} has an event of its user before it",
            hint=f"{tables.events} must name users by the same ids and hold events of theirs that "
            "are older than the samples",
        )
    counts = {
        "n_events": len(events.items),
        "n_duplicate_events": data.n_duplicate_events,
        "n_late_events": data.n_late_events,
        "n_samples": len(samples.labels),
        "n_samples_without_history": data.n_samples_without_history,
    }
    return data, samples, counts


def _tell(model: str, trainer: Trainer, counts: dict[str, int], console: Console) -> None:
    """Say what will be trained on."""
    data = trainer.data
    n_train = int(np.diff(data.requests.starts)[trainer.train_requests].sum())
    console.print(
        f"{model}: {n_train:,} training samples of {len(data.ring.starts) - 1:,} users, "
        f"{len(data.ring.items):,} behaviors, {len(trainer.vocabulary.items):,} items"
    )
    console.print(
        f"{counts['n_samples_without_history']:,} of all {counts['n_samples']:,} samples have no "
        f"event of their user before them; events left out: {counts['n_duplicate_events']:,} with "
        f"an id seen before, {counts['n_late_events']:,} late"
    )


def _train(
    trainer: Trainer, options: TrainingOptions, console: Console
) -> tuple[Trained, dict[str, Any]]:
    """Train with progress bars; return the result and its figures."""
    began = time.perf_counter()
    n_train, n_validation = len(trainer.train_requests), len(trainer.validation_requests)
    with make_progress() as bar:

        def counter(name: str, n_requests: int) -> Callable[[int], None]:
            task = bar.add_task(name, total=n_requests * options.epochs)
            return lambda k: bar.advance(task, k)

        def on_epoch(epoch: int, figures: dict[str, float]) -> None:
            bar.console.print(
                f"epoch {epoch + 1}: train log loss {figures['train_log_loss']:.4f}, "
                f"validation AUC {figures['auc']:.4f}, log loss {figures['log_loss']:.4f}"
            )

        progress = Progress(on_epoch=on_epoch)
        if trainer.model.memory is not None:
            progress = replace(progress, on_memories=counter("memories walked", n_train))
        progress = replace(
            progress,
            on_requests=counter("requests trained", n_train),
            on_validated=counter("requests validated", n_validation),
        )
        trained = trainer.train(progress)
        # Training may stop before its last epoch: what was done is then all there was to do.
        for task in bar.tasks:
            bar.update(task.id, total=task.completed)
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
        ConfigurationError: The tables cannot be used, there is no such model, or the directory
            cannot be written to.
    """
    console = Console(stderr=True)
    # Found out now and not after an hour of training.
    with writing(directory), TemporaryFile(dir=directory):
        pass
    config = default_config(model, len(tables.state.event_types), tables.state.n_behaviors)
    data, samples, counts = read_training_data(tables)
    trainer = Trainer(data, make_vocabulary(data), config, options)
    _tell(model, trainer, counts, console)
    trained, figures = _train(trainer, options, console)
    record = TrainingRecord(
        metrics=figures, trained_on={**tables.files, **counts, "options": asdict(options)}
    )
    save_bundle(
        directory,
        config.to_dict(),
        tables.state,
        trainer.vocabulary,
        weights_of(trained.model),
        record,
    )
    bundle = load_bundle(directory)
    split = SPLITS[int(samples.splits.max())]
    return bundle, evaluate_with_bar(bundle, data, samples, split)


EXAMPLE = """\b
Example:
  uic simulate --seed 7 --out sim7
  uic train --events sim7/events.parquet --samples sim7/samples.parquet --out bundle7
"""


@click.command("train", epilog=EXAMPLE)
@click.option(
    "--events", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="Event table, CSV or parquet, in any order: user_id, item_id, category_id, event_type, "
    "event_time_ms; optional event_id.",
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
    """Train a model on your own logs and write a bundle that the workers can use.

    A sample sees the events strictly before its time. Events are taken in the order of their times,
    those of equal time in the order of the table; with a column event_id a second event of an id
    counts as little as it does in a worker. Training stops when the validation split no
    longer improves; then the test split, if there is one, is scored once and reported. Without a
    split column the latest tenth by time is for testing and the tenth before it for validation.
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
    write_report(evaluation, tables.files, out)
