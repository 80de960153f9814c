"""What an interrupted training keeps: finished epochs at least; what is lost is said."""

from pathlib import Path

import pytest
import torch
from rich.console import Console
from training_process import write_tables

from interest_center.core.layout import StateConfig
from models import training_run
from models.ctr_config import default_config
from models.samples import Ints
from models.training import Trainer
from models.training_options import TrainingOptions
from models.training_run import TrainingPlan, _train
from models.training_state import resume_training
from models.training_step import Shares
from models.training_tables import TrainingData, read_training_data
from models.training_vocabulary import make_vocabulary
from models.walks import MemoryWalk

STATE = StateConfig()


class InterruptedTrainer(Trainer):
    """A training that Ctrl-C ends after so many steps."""

    last_step = 0

    def _step(self, chosen: Ints, memory: MemoryWalk | None, shares: Shares) -> tuple[float, int]:
        if self.position.step == self.last_step:
            raise KeyboardInterrupt
        return super()._step(chosen, memory, shares)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    torch.set_num_threads(1)
    return read_training_data(write_tables(tmp_path_factory.mktemp("world")))


@pytest.fixture(autouse=True)
def _no_time_to_keep_more_than_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_run, "_TIMES_OF_WRITING", 1e9)


@pytest.mark.parametrize(
    ("part_size", "last_step", "kept"),
    [
        # A whole epoch is one part: nothing, then the first epoch is kept.
        (10_000, 3, None),
        (10_000, "epoch+2", (1, 0)),
        # Every epoch is kept, also where writing takes too much time to keep parts of it.
        (10_000, "epochs+2", (2, 0)),
        # The first part is kept, though its epoch is not over.
        (48, 5, (0, 1)),
    ],
)
def test_what_is_finished_is_kept_at_once(
    data: TrainingData,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    part_size: int,
    last_step: int | str,
    kept: tuple[int, int] | None,
) -> None:
    config = default_config("din", len(STATE.event_types))
    options = TrainingOptions(epochs=3, patience=3, requests_at_once=16, part_size=part_size)
    plan = TrainingPlan(config, options, "cpu", tmp_path, seconds_between_states=1e9)
    given = (data.joined, make_vocabulary(data.joined), config, options)
    trainer = InterruptedTrainer(*given)
    in_epoch = -(-len(trainer.train_requests) // 16)
    named = {"epoch+2": in_epoch + 2, "epochs+2": 2 * in_epoch + 2}
    trainer.last_step = named[last_step] if isinstance(last_step, str) else last_step
    with pytest.raises(KeyboardInterrupt):
        _train(plan, trainer, {}, Console(stderr=True))
    resumed = Trainer(*given)
    assert resume_training(resumed, tmp_path, {}) is (kept is not None)
    at = resumed.position
    assert (at.epoch, at.part) == (kept or (0, 0))
    said = " ".join(capsys.readouterr().err.split())
    lost = f"{trainer.last_step - at.step} "
    lost = f"that of step {at.step}: {lost}later" if kept else f"no state is kept yet: {lost}"
    assert f"{lost.rstrip()} steps are lost" in said
    whole = Trainer(*given).train()
    again = resumed.train()
    assert again.epochs == whole.epochs
    for name, weight in again.model.state_dict().items():
        assert torch.equal(weight, whole.model.state_dict()[name]), name


def test_an_interrupt_while_an_epoch_is_kept_does_not_lose_it(
    data: TrainingData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = default_config("din", len(STATE.event_types))
    options = TrainingOptions(epochs=2, requests_at_once=16)
    plan = TrainingPlan(config, options, "cpu", tmp_path)
    given = (data.joined, make_vocabulary(data.joined), config, options)
    write = training_run.save_training
    calls = []

    def interrupted(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(training_run, "save_training", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _train(plan, Trainer(*given), {}, Console(stderr=True))
    assert "lost" not in capsys.readouterr().err
    resumed = Trainer(*given)
    assert resume_training(resumed, tmp_path, {})
    assert resumed.position.epoch == 1
