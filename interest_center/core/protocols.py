"""The seams of the house: what a store and a memory model must be able to do."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Store(Protocol):
    """An ordered key-value store of one partition; ``write`` is its only way to change."""

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None where there is none."""
        ...

    def scan_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys that begin with ``prefix``, in order, with their values."""
        ...

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes]) -> None:
        """Apply all deletes, then all puts, as one atomic batch that survives a kill."""
        ...

    def checkpoint(self, directory: Path) -> None:
        """Make a consistent copy in ``directory``, which must not exist."""
        ...

    def close(self) -> None:
        """Release files and locks; a second call does nothing."""
        ...


class MemoryUpdater(Protocol):
    """A long-term memory model as the worker sees it: rows in, rows out, one event at a time.

    A row is ``row_floats`` float32 values. ``update_many`` is a pure function of the rows and of
    the events given: no clock, no randomness, and the split into calls changes nothing.
    """

    @property
    def name(self) -> str:
        """Model name, for example ``mimn``."""
        ...

    @property
    def fingerprint(self) -> int:
        """64 bits that cover the updater, its weights and the embeddings it reads; never 0."""
        ...

    @property
    def row_floats(self) -> int:
        """Number of float32 values of one user's memory."""
        ...

    def initial_row(self) -> NDArray[np.float32]:
        """Return the memory of a user without events, ``[row_floats]``."""
        ...

    def update_many(
        self,
        rows: NDArray[np.float32],
        row_index: NDArray[np.int64],
        items: NDArray[np.uint64],
        categories: NDArray[np.uint64],
    ) -> None:
        """Apply events in order, in place, without the GIL.

        Args:
            rows: All memories, ``[capacity, row_floats]``, C-contiguous.
            row_index: Row of each event's user, ``[n]``.
            items: Item id of each event, ``[n]``.
            categories: Category id of each event, 0 where it has none, ``[n]``.
        """
        ...

    def summarise(self, row: NDArray[np.float32]) -> dict[str, Any]:
        """Return a JSON-able summary of one memory: slot norms, slot use."""
        ...
