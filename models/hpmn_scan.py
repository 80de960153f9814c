"""HPMN as one compiled walk over events: what the worker runs; numpy and numba, no torch.

The rules and every deviation stand in ``models/hpmn.py``, which trains the same weights; a contract
check holds both equal. An event costs one cell for each slot that is due: with periods 1, 2, 4 and
so on less than two on average.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import compiled_fastmath
from models.memory_config import MAX_COUNT
from models.scan_kernels import F32, EventTables, event_rows, gru_step

_MAX_COUNT = np.float32(MAX_COUNT)
_ONE = np.float32(1)


class ScanWeights(NamedTuple):
    """Everything the scan reads; row vectors times matrices.

    D is the width of an event, H of a slot, k the number of slots. Gates are (reset, keep).

    Attributes:
        tables: Ids and embeddings.
        periods: Events between two updates of each slot, ``[k]``.
        first: Cell of the first slot, from (event, slot): gates ``[D + H, 2 H]`` and bias
            ``[2 H]``, candidate ``[D + H, H]`` and bias ``[H]``.
        gates: Of the other slots, from (slot before, slot), ``[k - 1, 2 H, 2 H]``.
        gates_bias: ``[k - 1, 2 H]``.
        candidate: ``[k - 1, 2 H, H]``.
        candidate_bias: ``[k - 1, H]``.
    """

    tables: EventTables
    periods: NDArray[np.int64]
    first: tuple[F32, F32, F32, F32]
    gates: F32
    gates_bias: F32
    candidate: F32
    candidate_bias: F32


@compiled_fastmath
def scan_events(
    rows: F32,
    row_index: NDArray[np.int64],
    items: NDArray[np.uint64],
    categories: NDArray[np.uint64],
    w: ScanWeights,
) -> None:
    """Apply events in order to the rows, in place; the layout is that of ``hpmn_state``.

    Args:
        rows: ``[capacity, row_floats]``.
        row_index: Row of each event's user, ``[n]``.
        items: Item id of each event, ``[n]``.
        categories: Category id of each event, 0 where it has none, ``[n]``.
        w: Weights and ids.
    """
    n_slots, dim = w.periods.shape[0], w.first[3].shape[0]
    phase, n_events = n_slots * dim, n_slots * dim + 1
    gates, candidate = np.empty(2 * dim, np.float32), np.empty(dim, np.float32)
    nothing = np.empty(0, np.float32)
    for k in range(row_index.shape[0]):
        row = rows[row_index[k]]
        slots = row[:phase].reshape(n_slots, dim)
        count = np.int64(row[phase]) + 1
        row[phase] = count % w.periods[n_slots - 1]
        row[n_events] = min(row[n_events] + _ONE, _MAX_COUNT)

        item, category = event_rows(items[k], categories[k], w.tables)
        event = (w.tables.item_table[item], w.tables.category_table[category])
        gru_step(event, slots[0], w.first, gates, candidate)
        for j in range(1, n_slots):
            if count % w.periods[j] != 0:
                # Longer periods are multiples of this one: they are not due either.
                break
            i = j - 1
            cell = (w.gates[i], w.gates_bias[i], w.candidate[i], w.candidate_bias[i])
            gru_step((slots[i], nothing), slots[j], cell, gates, candidate)
