"""Event files: whole after a flush, and going on where an earlier one ended."""

from pathlib import Path

import pytest
from event_files import scalars_in

from interest_center.core.errors import ConfigurationError
from models.training_log import TrainingLog


def rename(directory: Path, number: int) -> None:
    """Give the files names of another second, by which they are told apart and sorted."""
    (path,) = directory.glob("events.out.tfevents.*")
    path.rename(directory.parent / f"events.out.tfevents.{number}")


def test_what_is_flushed_outlives_a_kill(tmp_path: Path) -> None:
    """Nothing is closed here: the file holds what a kill would leave."""
    log = TrainingLog(tmp_path / "logs", 1)
    for step in range(1, 101):
        log.add("loss", step / 4, step)
    log.flush()
    assert scalars_in(tmp_path / "logs") == {"loss": [(s, s / 4) for s in range(1, 101)]}
    log.close()


def test_later_steps_of_earlier_files_are_hidden(tmp_path: Path) -> None:
    for number, (first, last) in enumerate(((1, 6), (4, 8), (6, 7))):
        log = TrainingLog(tmp_path / "new", first)
        for step in range(first, last):
            log.add("loss", 10 * number, step)
            log.add("auc", number, step)
        log.close()
        rename(tmp_path / "new", number)
    expected = [(1, 0), (2, 0), (3, 0), (4, 1), (5, 1), (6, 2)]
    shown = scalars_in(tmp_path)
    assert shown["auc"] == expected
    assert shown["loss"] == [(step, 10 * value) for step, value in expected]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write"):
        TrainingLog(tmp_path / "file" / "logs", 1)
