"""One training from tables to a bundle: bars, logs, and a state to take it up again."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress as Bars

from interest_center.core.errors import BundleError
from models.bundle import Bundle, TrainingRecord, load_bundle, save_bundle
from models.bundle_files import read_manifest, writing
from models.ctr_config import CtrConfig
from models.ctr_model import weights_of
from models.evaluate import make_progress
from models.fingerprint import fingerprint_of
from models.processes import leads, n_processes, told_by_leader
from models.training import Trained, Trainer
from models.training_log import TrainingLog
from models.training_options import Progress, TrainingOptions
from models.training_state import remove_state, resume_training, save_training
from models.training_tables import TrainingData
from models.training_vocabulary import make_vocabulary

LOGS = "logs"
_STEPS_BETWEEN_LOSSES = 20
#: Where a state is written in a moment it is written within an epoch more often than the plan
#: says: when so many times the seconds of writing it have passed.
_TIMES_OF_WRITING = 20


@dataclass(frozen=True)
class TrainingPlan:
    """What to train, how, and where to.

    Attributes:
        config: Parts and sizes of the model.
        options: How to train.
        device: ``cpu``, ``cuda``, ...
        directory: Of the bundle.
        seconds_between_states: A state to take the training up from is written after each epoch,
            and within one at the latest after the first part that ends so long after the state
            before; earlier where writing takes little of the time.
    """

    config: CtrConfig
    options: TrainingOptions
    device: str
    directory: Path
    seconds_between_states: float = 30.0


def identity_of(plan: TrainingPlan, data: TrainingData) -> dict[str, Any]:
    """Return what makes a training this one, JSON-able."""
    return {
        "model": asdict(plan.config),
        "options": asdict(plan.options),
        "data": data.fingerprint,
        "state_rules": data.tables.state.fingerprint,
        "device": torch.device(plan.device).type,
        "processes": n_processes(),
    }


def finished_bundle(plan: TrainingPlan, data: TrainingData) -> Bundle | None:
    """Return the bundle that this very training wrote earlier, None when there is none."""
    try:
        told = read_manifest(plan.directory).trained_on.get("training")
        return load_bundle(plan.directory) if told == _digest(identity_of(plan, data)) else None
    except BundleError:
        return None


def _digest(identity: dict[str, Any]) -> str:
    return f"{fingerprint_of(identity, {}):016x}"


def _tell(plan: TrainingPlan, trainer: Trainer, data: TrainingData, console: Console) -> None:
    """Say what will be trained on."""
    counts, joined = data.counts, trainer.data
    n_train = int(np.diff(joined.requests.starts)[trainer.train_requests].sum())
    console.print(
        f"{plan.config.name}, seed {plan.options.seed}: {n_train:,} training samples of "
        f"{len(joined.ring.starts) - 1:,} users, {len(joined.ring.items):,} behaviors, "
        f"{len(trainer.vocabulary.items):,} items"
    )
    without, n_samples = counts["n_samples_without_history"], counts["n_samples"]
    console.print(
        (
            f"{without:,} of the {n_samples:,} samples of all splits have no earlier event of "
            "their user, so no history"
            if without
            else f"each of the {n_samples:,} samples of all splits has an earlier event of its user"
        )
        + f"; events left out: {counts['n_duplicate_events']:,} with "
        f"an id seen before, {counts['n_late_events']:,} late"
    )
    if counts["n_excluded"]:
        console.print(f"{counts['n_excluded']:,} training samples are of excluded days: left out")


class _Reporter:
    """Bars, logs and kept states of a training while it runs."""

    def __init__(
        self, plan: TrainingPlan, trainer: Trainer, bar: Bars, identity: dict[str, Any]
    ) -> None:
        self._plan, self._trainer, self._bar, self._identity = plan, trainer, bar, identity
        self._log = TrainingLog(plan.directory / LOGS, trainer.position.step + 1)
        self._kept_at, self._seconds_to_keep = time.monotonic(), 0.0
        self._kept_step = trainer.position.step

    def progress(self) -> Progress:
        """Return what the training is to call."""
        trainer, at = self._trainer, self._trainer.position
        n_train = len(trainer.train_requests)
        n_samples = int(np.diff(trainer.data.requests.starts)[trainer.train_requests].sum())
        # Of the losses each process sums its share of the samples.
        trained = at.epoch + at.losses[1] * n_processes() / n_samples
        progress = Progress(on_step=self._on_step, on_epoch=self._on_epoch, on_part=self._keep)
        if trainer.model.memory is not None:
            walked = self._counter("memories walked", n_train, trained)
            progress = replace(progress, on_memories=walked)
        return replace(
            progress,
            on_requests=self._counter("requests trained", n_train, trained),
            on_validated=self._counter(
                "requests validated", len(trainer.validation_requests), at.epoch
            ),
        )

    def close(self) -> None:
        """Write what was logged."""
        self._log.close()

    def _counter(self, name: str, n_requests: int, done_epochs: float) -> Callable[[int], None]:
        total = n_requests * self._plan.options.epochs
        task = self._bar.add_task(name, total=total, completed=round(n_requests * done_epochs))
        return lambda k: self._bar.advance(task, k)

    def _on_step(self, step: int, loss: float) -> None:
        if step % _STEPS_BETWEEN_LOSSES == 0:
            self._log.add("train/click_loss", loss, step)

    def _on_epoch(self, epoch: int, figures: dict[str, float]) -> None:
        self._bar.console.print(
            f"epoch {epoch + 1}: train log loss {figures['train_log_loss']:.4f}, "
            f"validation AUC {figures['auc']:.4f}, log loss {figures['log_loss']:.4f}"
        )
        for name in ("auc", "gauc", "log_loss"):
            self._log.add(f"validation/{name}", figures[name], self._trainer.position.step)

    def tell_lost(self) -> None:
        """Say which steps an interrupted training has made in vain."""
        n_lost = self._trainer.position.step - self._kept_step
        if n_lost:
            kept = f"the state that is kept is that of step {self._kept_step:,}: {n_lost:,} later"
            told = kept if self._kept_step else f"no state is kept yet: {n_lost:,}"
            self._bar.console.print(f"{told} steps are lost")

    def _keep(self) -> None:
        """Write the state of a finished epoch, that of a part if the last one is old enough."""
        if self._trainer.position.step == self._kept_step:
            return
        began = time.monotonic()
        wait = min(self._plan.seconds_between_states, _TIMES_OF_WRITING * self._seconds_to_keep)
        if self._trainer.position.part and began - self._kept_at < wait:
            return
        try:
            # What is logged of the steps that the state holds is not logged again.
            self._log.flush()
            save_training(self._trainer, self._plan.directory, self._identity)
        except KeyboardInterrupt:
            # Ctrl-C often comes when the figures of an epoch are shown: that epoch is finished.
            save_training(self._trainer, self._plan.directory, self._identity)
            self._kept_step = self._trainer.position.step
            raise
        self._kept_at, self._kept_step = time.monotonic(), self._trainer.position.step
        self._seconds_to_keep = self._kept_at - began


def _train(
    plan: TrainingPlan, trainer: Trainer, identity: dict[str, Any], console: Console
) -> tuple[Trained, float]:
    """Train with progress bars and logs; return the result and its seconds."""
    began = time.perf_counter()
    with make_progress() as bar, closing(_Reporter(plan, trainer, bar, identity)) as reporter:
        try:
            trained = trainer.train(reporter.progress())
        except KeyboardInterrupt:
            reporter.tell_lost()
            raise
        # Training may stop before its last epoch: what was done is then all there was to do.
        for task in bar.tasks:
            bar.update(task.id, total=task.completed)
    seconds = time.perf_counter() - began
    console.print(f"kept epoch {trained.best + 1} of {len(trained.epochs)}, {seconds:.0f} s")
    return trained, seconds


def tell_replaced(directory: Path, console: Console) -> None:
    """Say that a bundle is there and will be replaced."""
    try:
        there = read_manifest(directory)
    except BundleError:
        return
    console.print(
        f"{directory} holds the finished bundle {there.fingerprint} ({there.name}): it is replaced "
        "when this training is over; another --out keeps it"
    )


def _check_writable(directory: Path) -> None:
    """Find out now, and not after an hour of training."""
    with writing(directory), TemporaryFile(dir=directory):
        pass


def train_bundle(plan: TrainingPlan, data: TrainingData) -> Bundle | None:
    """Train a model and write its bundle; a training that was left there is taken up.

    Returns:
        The bundle as loaded again; None in a process that does not lead.

    Raises:
        ConfigurationError: The directory cannot be written to, or holds another training.
    """
    console = Console(stderr=True, quiet=not leads())
    told_by_leader(lambda: _check_writable(plan.directory))
    tell_replaced(plan.directory, console)
    vocabulary = make_vocabulary(data.joined, plan.config, data.prices)
    trainer = Trainer(data.joined, vocabulary, plan.config, plan.options, plan.device)
    _tell(plan, trainer, data, console)
    identity = identity_of(plan, data)
    if resume_training(trainer, plan.directory, identity):
        at = trainer.position
        console.print(f"taken up where it was left: epoch {at.epoch + 1}, step {at.step:,}")
    if not leads():
        trainer.train()
        return None
    trained, seconds = _train(plan, trainer, identity, console)
    figures = {
        "validation": trained.epochs[trained.best],
        "epochs": trained.epochs,
        "training_seconds": round(seconds, 1),
    }
    about = {
        **data.files,
        **data.counts,
        "options": asdict(plan.options),
        "training": _digest(identity),
    }
    save_bundle(
        plan.directory,
        plan.config.to_dict(),
        data.tables.state,
        trainer.vocabulary,
        weights_of(trained.model),
        TrainingRecord(metrics=figures, trained_on=about),
    )
    remove_state(plan.directory)
    return load_bundle(plan.directory)
