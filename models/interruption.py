"""A training that is interrupted: by which signals, and what to do next."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from models.bundle_files import MANIFEST
from models.processes import leads, n_processes
from models.training_state import state_path

#: Exit status of a process that a signal ended, by the custom of shells: this and its number.
_BY_SIGNAL = 128


@contextmanager
def interruptible(out: Path) -> Iterator[None]:
    """Let Ctrl-C (SIGINT) and SIGTERM end the training in the body, and say what is left of it.

    SIGTERM not in several processes: one that waits for another would not be ended by it.

    Args:
        out: Where the training writes to.

    Raises:
        SystemExit: The training was interrupted.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    before = signal.signal(signal.SIGTERM, interrupt) if n_processes() == 1 else None
    try:
        yield
    except KeyboardInterrupt as interrupted:
        if leads():
            Console(stderr=True).print(_way_on(out))
        number = interrupted.args[0] if interrupted.args else signal.SIGINT
        raise SystemExit(_BY_SIGNAL + number) from None
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _way_on(out: Path) -> str:
    """Say what an interrupted training left, and what to do next."""
    if state_path(out).exists() or any(state_path(one).exists() for one in out.glob("seed-*")):
        return "interrupted: the same command takes the training up where its state was kept last"
    finished = sorted(one.parent.name for one in out.glob(f"seed-*/{MANIFEST}"))
    if finished:
        return f"interrupted: the same command goes on after the finished {', '.join(finished)}"
    said = "interrupted, and no state of a training is kept: the same command begins anew"
    if (out / MANIFEST).exists():
        said += f"; the bundle in {out} is whole, `uic evaluate --bundle {out}` scores it"
    return said
