"""Ctrl-C and SIGTERM end a training with a word on what is left of it, and their own status."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.bundle_files import MANIFEST
from models.interruption import interruptible
from models.training_state import state_path


@pytest.fixture(autouse=True)
def _interrupts_as_in_a_terminal() -> Iterator[None]:
    """A shell lets what it starts in the background ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("left", "said"),
    [
        (state_path(Path()), "the same command takes the training up where its state"),
        (state_path(Path("seed-3")), "the same command takes the training up where its state"),
        (Path("seed-2") / MANIFEST, "goes on after the finished seed-2"),
        (Path(), "no state of a training is kept: the same command begins anew"),
        (Path(MANIFEST), "is whole, `uic evaluate --bundle"),
    ],
)
def test_an_interruption_says_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int, left: Path, said: str
) -> None:
    if left.name:
        (tmp_path / left).parent.mkdir(exist_ok=True)
        (tmp_path / left).write_bytes(b"")
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, interruptible(tmp_path):
        os.kill(os.getpid(), number)
    assert ended.value.code == 128 + number
    assert said in " ".join(capsys.readouterr().err.split())
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_undisturbed_training_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with interruptible(tmp_path):
        pass
    assert capsys.readouterr().err == ""
