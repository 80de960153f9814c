"""A worker whose memory is the toy that engines are compared with: row = .99 row + vector.

Run as ``python -m streams.bench.toy_worker`` with the settings of ``uic worker``.
"""

from typing import Any

import msgspec
import numpy as np
import uvloop
from numpy.typing import NDArray

from interest_center.core.compiled import compiled
from interest_center.settings import load_settings
from streams.interest_app import build_app
from streams.worker import configure_logs, run

ROW_FLOATS = 512
N_VECTORS = 1_000
DECAY = np.float32(0.99)


def item_vectors() -> NDArray[np.float32]:
    """Return the vector of each item modulo 1,000, ``[1000, 512]``."""
    drawn = np.random.default_rng(0).standard_normal((N_VECTORS, ROW_FLOATS))
    return drawn.astype(np.float32)


class ToyEvent(msgspec.Struct):
    """What the toy reads of an event."""

    item_id: str


def moved_row(value: bytes, row: bytes | None, vectors: NDArray[np.float32]) -> bytes:
    """Return a row after one event, as an engine applies it that hands out bytes.

    Args:
        value: The event as sent.
        row: The row before it; nothing for a new user.
        vectors: Of the items.
    """
    vector = vectors[int(msgspec.json.decode(value, type=ToyEvent).item_id) % N_VECTORS]
    moved: NDArray[np.float32] = vector
    if row:
        moved = np.frombuffer(row, np.float32) * DECAY + vector
    return moved.tobytes()


@compiled
def decay_rows(
    rows: NDArray[np.float32],
    row_index: NDArray[np.int64],
    items: NDArray[np.uint64],
    vectors: NDArray[np.float32],
) -> None:
    """Apply events in order, in place."""
    for i in range(len(row_index)):
        row = rows[row_index[i]]
        vector = vectors[np.int64(items[i] % np.uint64(len(vectors)))]
        for j in range(len(row)):
            row[j] = DECAY * row[j] + vector[j]


class ToyUpdater:
    """Decayed sums of item vectors; a ``MemoryUpdater``."""

    name = "toy"
    fingerprint = 0x701
    row_floats = ROW_FLOATS

    def __init__(self) -> None:
        self._vectors = item_vectors()

    def initial_row(self) -> NDArray[np.float32]:
        """Return the memory of a user without events."""
        return np.zeros(ROW_FLOATS, np.float32)

    def update_many(
        self,
        rows: NDArray[np.float32],
        row_index: NDArray[np.int64],
        items: NDArray[np.uint64],
        categories: NDArray[np.uint64],
    ) -> None:
        """Apply events in order, in place, without the GIL."""
        decay_rows(rows, row_index, items, self._vectors)

    def summarise(self, row: NDArray[np.float32]) -> dict[str, Any]:
        """Return the length of the row."""
        return {"slot_norms": [float(np.linalg.norm(row))]}


if __name__ == "__main__":
    configure_logs()
    uvloop.install()
    run(build_app(load_settings(), ToyUpdater()))
