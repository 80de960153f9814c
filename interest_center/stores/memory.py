"""A store in memory with the behaviour of the real one, for tests and throw-away replays."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from interest_center.core.errors import StoreError

_COPY_FILE = "store.msgpack"


class MemoryStore:
    """A ``Store`` in a dictionary.

    Args:
        directory: A copy made by ``checkpoint`` to begin with; None: empty.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._closed = False
        self._records: dict[bytes, bytes] = {}
        if directory is not None:
            copy = (directory / _COPY_FILE).read_bytes()
            self._records = msgspec.msgpack.decode(copy, type=dict[bytes, bytes])

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None where there is none."""
        return [self._open().get(key) for key in keys]

    def scan_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys that begin with ``prefix``, in order, with their values."""
        yield from sorted(pair for pair in self._open().items() if pair[0].startswith(prefix))

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes]) -> None:
        """Apply all deletes, then all puts, at once."""
        after = dict(self._open())
        for key in deletes:
            after.pop(key, None)
        after.update(puts)
        self._records = after

    def checkpoint(self, directory: Path) -> None:
        """Make a copy in ``directory``, which must not exist."""
        records = self._open()
        try:
            directory.mkdir()
        except OSError as error:
            raise StoreError(f"cannot copy store to {directory}: {error}") from error
        (directory / _COPY_FILE).write_bytes(msgspec.msgpack.encode(records))

    def close(self) -> None:
        """Refuse all further calls but this one."""
        self._closed = True

    def _open(self) -> dict[bytes, bytes]:
        if self._closed:
            raise StoreError("the store is closed")
        return self._records
