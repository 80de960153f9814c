"""Input files as bytes, unpacked, and what of them is refused."""

import gzip
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from interest_center.core.errors import ConfigurationError

STDIN = Path("-")

Line = TypeVar("Line", str, bytes)


def check_input(path: Path) -> None:
    """Refuse what cannot be read from any place on, as a resumed run does.

    Raises:
        ConfigurationError: There is no such file, or it is a directory, a pipe or a device.
    """
    if path == STDIN:
        return
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    if stat.S_ISDIR(mode):
        raise ConfigurationError(f"{path} is a directory", hint="name one of its files")
    if not stat.S_ISREG(mode):
        raise ConfigurationError(
            f"{path} is not a regular file",
            hint="pipe it into the standard input: `... | uic produce -`",
        )


class ByteStream:
    """An input file, unpacked when it ends in ``.gz``, that knows how far it is read.

    Args:
        path: The file; ``-`` is the standard input.

    Raises:
        ConfigurationError: The file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._packed = path.suffix == ".gz"
        self._size = 0
        if path == STDIN:
            self._raw: BinaryIO = sys.stdin.buffer
        else:
            try:
                self._raw = path.open("rb")
            except OSError as error:
                raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
            self._size = path.stat().st_size
        self.bytes = self._raw
        if self._packed:
            self.bytes = cast(BinaryIO, gzip.GzipFile(fileobj=self._raw))

    def checked(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Yield lines of this file, and close it at their end.

        Raises:
            ConfigurationError: It cannot be read on, or is no gzip file, or a damaged one.
        """
        try:
            yield from lines
        except (OSError, EOFError, zlib.error) as error:
            raise ConfigurationError(
                f"cannot read {self._path}: {error}",
                hint=f"`gzip -t {self._path}` says whether it is whole" if self._packed else "",
            ) from error
        finally:
            if self._raw is not sys.stdin.buffer:
                self._raw.close()

    def share_read(self) -> float | None:
        """Return how much of the file is read, None for the standard input."""
        if not self._size:
            return None
        return 1.0 if self._raw.closed else self._raw.tell() / self._size
