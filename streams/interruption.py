"""Ctrl-C and SIGTERM: as one, and heard only where nothing is left half done."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Holds signals back; raises ``KeyboardInterrupt`` in ``check`` and while ``allowed`` is set.

    The first signal raises once, so that what ends the work may call ``check`` again. A second
    signal raises at once, wherever the program is.
    """

    def __init__(self) -> None:
        self.allowed = False
        self.requested = False
        self._was_raised = False
        self._before: list[Any] = []

    def check(self) -> None:
        """Raise when a signal came that has not been raised yet.

        Raises:
            KeyboardInterrupt: One came.
        """
        if self.requested and not self._was_raised:
            self._was_raised = True
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        self._before = [signal.signal(number, self._on_signal) for number in SIGNALS]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in zip(SIGNALS, self._before, strict=True):
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        insisted, self.requested = self.requested, True
        if self.allowed or insisted:
            self._was_raised = True
            raise KeyboardInterrupt


def end_by_interrupt() -> None:
    """Let SIGTERM end this process the way that Ctrl-C does, so that it tidies up."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
