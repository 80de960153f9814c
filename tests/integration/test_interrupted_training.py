"""A training that is killed and interrupted ends as if nothing had happened, its log included."""

import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from event_files import scalars_in
from training_process import MODEL, SETTINGS, make_plan, write_tables
from worker_process import wait_until

from models.bundle import load_bundle
from models.bundle_files import MANIFEST
from models.ctr_model import weights_of
from models.training_run import LOGS, train_bundle
from models.training_state import state_path
from models.training_tables import read_training_data

SCRIPT = Path(__file__).parents[1] / "training_process.py"
SECONDS = 600.0


def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as sink:
        return subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
        )


def kill_after_states(process: subprocess.Popen[bytes], state: Path, n_states: int) -> None:
    """Kill a training without notice once it has kept its state so many times."""
    seen: set[tuple[int, int]] = set()

    def kept() -> bool:
        assert process.poll() is None, "it ended before it was killed"
        if state.exists():
            told = state.stat()
            seen.add((told.st_ino, told.st_mtime_ns))
        return len(seen) >= n_states

    wait_until(kept, f"{n_states} states", SECONDS)
    process.kill()
    assert process.wait() == -signal.SIGKILL


def test_killed_interrupted_and_taken_up_it_ends_with_the_same_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    tables = write_tables(tmp_path)
    left, log = tmp_path / "left", tmp_path / "log"
    n_states = random.randint(1, 4)
    training = start([str(SCRIPT), "alone", str(tmp_path), str(left)], log)
    kill_after_states(training, state_path(left), n_states)
    assert not (left / MANIFEST).exists()

    # The command itself, on the same tables, takes it up, and is interrupted by Ctrl-C.
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    command = ["-m", "interest_center.cli", "train", "--model", MODEL, "--threads", "1", *settings]
    command += ["--events", str(tables.events), "--samples", str(tables.samples)]
    training = start([*command, "--out", str(left)], log)
    try:
        wait_until(lambda: b"taken up" in log.read_bytes(), "taken up", SECONDS)
    finally:
        training.send_signal(signal.SIGINT)
    assert training.wait(SECONDS) == 130
    said = " ".join(log.read_text().split())
    assert "interrupted: the same command takes the training up" in said
    # Ctrl-C in the middle of an import of llvmlite makes it mention half an object of its own.
    said = re.sub(r"Exception ignored in.*?'_as_parameter_'", "", said)
    assert "Traceback" not in said

    data = read_training_data(tables)
    resumed = train_bundle(make_plan(left), data)
    assert "taken up where it was left" in capsys.readouterr().err
    assert not list(left.glob("*.pt")), "a training that is over leaves no state"
    whole = train_bundle(make_plan(tmp_path / "whole", seconds_between_states=1e9), data)
    assert resumed is not None
    assert whole is not None
    expected = weights_of(whole.ranker.model)
    for name, found in weights_of(resumed.ranker.model).items():
        same = found.tobytes() == expected[name].tobytes()
        assert same, f"{name}; killed after {n_states} states"
    assert load_bundle(left).fingerprint == whole.fingerprint

    shown = scalars_in(left / LOGS)
    assert shown == scalars_in(tmp_path / "whole" / LOGS)
    assert len(shown["validation/auc"]) == len(whole.manifest["metrics"]["epochs"])
    assert [step for step, _ in shown["train/click_loss"]][:2] == [20, 40]
