"""One worker a state directory, one demo a home: the lock that says so."""

import fcntl
import os
from pathlib import Path

from interest_center.core.errors import ConfigurationError


class StateLock:
    """Holds a state directory until the process ends, however it ends.

    Args:
        states: State directory, made when it does not exist.
        who: What may be there only once.
        way_out: What the second one may do.

    Raises:
        ConfigurationError: Another one holds it, or it cannot be written.
    """

    def __init__(
        self,
        states: Path,
        who: str = "worker",
        way_out: str = "give every worker its own: --state-dir",
    ) -> None:
        path = states / f"{who}.lock"
        try:
            states.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+")
        except OSError as error:
            raise ConfigurationError(
                f"cannot write the state directory {states}: {error.strerror}",
                hint="choose another one with --state-dir",
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise ConfigurationError(
                f"another {who} (pid {holder}) uses the state directory {states}", hint=way_out
            ) from error
        self._file.seek(0)
        self._file.truncate()
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let another worker have it."""
        self._file.close()
