"""A training taken up from any part ends the same; what is no state of it is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_logs import make_small_log

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from models.ctr_config import default_config
from models.samples import PointInTime, point_in_time
from models.tables import TEST, VALIDATION
from models.training import Trained, Trainer
from models.training_options import Progress, TrainingOptions
from models.training_state import remove_state, resume_training, save_training, state_path
from models.training_vocabulary import make_vocabulary

IDENTITY = {"data": "3f", "options": {"seed": 0, "sizes": [1, 2]}}


@pytest.fixture(scope="module")
def data() -> PointInTime:
    torch.set_num_threads(1)
    events, samples = make_small_log()
    validation = (samples.splits == TEST) & (np.arange(len(samples.splits)) % 3 > 0)
    splits = np.where(validation, VALIDATION, samples.splits)
    return point_in_time(events, replace(samples, splits=splits), StateConfig())


def make_trainer(data: PointInTime, model: str, **options: float) -> Trainer:
    config = replace(
        default_config(model, 7, history_length=10),
        mlp_hidden=(8,),
        dropout=0.2,
        user_dim=2,
        n_item_buckets=3,
    )
    given = TrainingOptions(epochs=3, requests_at_once=8, part_size=12, window=6, patience=3)
    vocabulary = make_vocabulary(data, config)
    return Trainer(data, vocabulary, config, replace(given, **options))  # type: ignore[arg-type]


def train_keeping(trainer: Trainer, directory: Path) -> tuple[Trained, int]:
    """Train, and keep a state of each part in a directory of its own."""
    kept = 0

    def keep() -> None:
        nonlocal kept
        save_training(trainer, directory / str(kept), IDENTITY)
        kept += 1

    return trainer.train(Progress(on_part=keep)), kept


@pytest.mark.parametrize("model", ["din", "din+mimn", "dien+hpmn"])
def test_from_any_part_it_ends_with_the_same_weights(
    data: PointInTime, model: str, tmp_path: Path
) -> None:
    whole, n_states = train_keeping(make_trainer(data, model), tmp_path)
    assert n_states >= 6
    # Within the first epoch, at its end, within a later one, and when all is done.
    for kept in (0, n_states // 3 - 1, n_states - 2, n_states - 1)[:: 1 if model == "din" else 2]:
        trainer = make_trainer(data, model)
        for table in trainer.model.id_tables["items"]:
            torch.nn.init.zeros_(trainer.model.get_parameter(f"{table}.weight"))
        assert resume_training(trainer, tmp_path / str(kept), IDENTITY)
        trained = trainer.train()
        assert (trained.epochs, trained.best) == (whole.epochs, whole.best)
        expected = whole.model.state_dict()
        for name, weight in trained.model.state_dict().items():
            assert torch.equal(weight, expected[name]), (kept, name)


def test_without_a_state_it_begins(data: PointInTime, tmp_path: Path) -> None:
    assert not resume_training(make_trainer(data, "din"), tmp_path / "none", IDENTITY)


def test_another_training_is_told_apart_by_name(data: PointInTime, tmp_path: Path) -> None:
    trainer = make_trainer(data, "din")
    save_training(trainer, tmp_path, IDENTITY)
    other = {"data": "4a", "options": {"seed": 1, "sizes": [1, 2]}}
    with pytest.raises(ConfigurationError) as refused:
        resume_training(trainer, tmp_path, other)
    assert "data 3f, now 4a; options.seed 0, now 1" in refused.value.message
    assert f"remove {state_path(tmp_path)}" in refused.value.hint


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "damaged"),
        (lambda content: content[: len(content) // 2], "damaged"),
        (lambda content: content.replace(b"training 1", b"training 2", 1), "of another version"),
        (lambda content: b"", "of another version"),
    ],
)
def test_what_is_no_state_is_refused(
    data: PointInTime, tmp_path: Path, damage: object, said: str
) -> None:
    trainer = make_trainer(data, "din")
    save_training(trainer, tmp_path, IDENTITY)
    path = state_path(tmp_path)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(ConfigurationError, match=f"is {said} and cannot be taken up") as refused:
        resume_training(trainer, tmp_path, IDENTITY)
    assert "remove" in refused.value.hint


def test_a_state_of_other_tensors_is_of_another_version(data: PointInTime, tmp_path: Path) -> None:
    """Another release may name or shape its weights otherwise, whatever the identity says."""
    save_training(make_trainer(data, "din"), tmp_path, IDENTITY)
    with pytest.raises(ConfigurationError, match="of another version and cannot be taken up"):
        resume_training(make_trainer(data, "din+mimn"), tmp_path, IDENTITY)


def test_what_a_kill_left_unfinished_goes_away(data: PointInTime, tmp_path: Path) -> None:
    unfinished = tmp_path / ".training-state.pt.4711.tmp"
    for finish in (
        lambda: save_training(make_trainer(data, "din"), tmp_path, IDENTITY),
        lambda: remove_state(tmp_path),
    ):
        unfinished.write_bytes(b"half")
        finish()
        assert not unfinished.exists()
    assert not list(tmp_path.iterdir())
