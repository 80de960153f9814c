"""MIMN as one compiled walk over events: what the worker runs; numpy and numba, no torch.

The equations and every deviation stand in ``models/mimn.py``, which trains the same weights; a
contract check holds both equal. Buffers are float32 throughout. Sums are reassociated (fastmath)
and tanh is a rational approximation good to 5e-7; together they keep a history of 600 events
within 1e-4 of a float64 loop. NaN and infinity do not occur because all inputs are finite.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import compiled, compiled_fastmath
from models.memory_config import MAX_COUNT
from models.scan_kernels import (
    F32,
    EventTables,
    accumulate,
    dot,
    event_rows,
    gru_step,
    sigmoid_in_place,
    softmax_in_place,
    tanh_in_place,
)

_EPSILON = np.float32(1e-8)
_ONE = np.float32(1)
_ZERO = np.float32(0)
_MAX_COUNT = np.float32(MAX_COUNT)
_TRANSFER_MATRIX, _ELEMENTWISE, _RENORMALISED, _OFF = range(4)


class ScanWeights(NamedTuple):
    """Everything the scan reads; row vectors times matrices.

    D is the width of a slot, H of the controller, C of a channel, m the number of slots.

    Attributes:
        tables: Ids and embeddings.
        initial_memory: ``[m, D]``.
        controller_gates: Reset and keep gate from (event, last read, hidden), ``[2 D + H, 2 H]``.
        controller_gates_bias: ``[2 H]``.
        controller_candidate: ``[2 D + H, H]``.
        controller_candidate_bias: ``[H]``.
        heads: Read key, write key, erase and add from the controller, ``[H, 4 D]``.
        heads_bias: ``[4 D]``.
        transfer: W_g of eq 6, ``[m, m, m]``; ``[m, 1, m]`` for the elementwise readings.
        channel_gates: Reset and keep gate from (event, slot, channel), ``[2 D + C, 2 C]``.
        channel_gates_bias: ``[2 C]``.
        channel_candidate: ``[2 D + C, C]``.
        channel_candidate_bias: ``[C]``.
    """

    tables: EventTables
    initial_memory: F32
    controller_gates: F32
    controller_gates_bias: F32
    controller_candidate: F32
    controller_candidate_bias: F32
    heads: F32
    heads_bias: F32
    transfer: F32
    channel_gates: F32
    channel_gates_bias: F32
    channel_candidate: F32
    channel_candidate_bias: F32


@compiled_fastmath
def _address(key: F32, memory: F32, weights: F32) -> None:
    """Fill ``weights`` with softmax over slots of the cosine of key and slot (eq 1-2)."""
    length = np.sqrt(dot(key, key))
    for i in range(memory.shape[0]):
        slot = memory[i]
        norm = np.sqrt(dot(slot, slot))
        weights[i] = dot(key, slot) / (length * norm + _EPSILON)
    softmax_in_place(weights)


@compiled_fastmath
def _utilise(
    write: F32, usage: F32, n_events: np.float32, transfer: F32, form: int, out: F32
) -> None:
    """Fill ``out`` with the rebalanced write weights w~ (eq 6-7)."""
    m = write.shape[0]
    if form == _OFF:
        out[:] = write
        return
    mass = _ZERO
    for i in range(m):
        mass += usage[i]
    scale = n_events / max(_ONE, n_events * mass)
    width = transfer.shape[1] if form == _TRANSFER_MATRIX else m
    row = np.empty(width, np.float32)
    out[:] = _ZERO
    for i in range(m if form == _TRANSFER_MATRIX else 1):
        for j in range(width):
            weights = transfer[i, j] if form == _TRANSFER_MATRIX else transfer[j, 0]
            row[j] = scale * dot(weights, usage)
        softmax_in_place(row)
        for j in range(width):
            out[j] += row[j] * (write[i] if form == _TRANSFER_MATRIX else write[j])
    if form == _RENORMALISED:
        total = _ZERO
        for j in range(m):
            total += out[j]
        for j in range(m):
            out[j] /= total


@compiled_fastmath
def _induce(
    event: F32,
    memory: F32,
    channels: F32,
    most_read: NDArray[np.int64],
    weights: tuple[F32, F32, F32, F32],
    buffers: tuple[F32, F32],
) -> None:
    """Move the channels of the most read slots on the new memory (eq 9)."""
    for best in most_read:
        gru_step((event, memory[best]), channels[best], weights, buffers[0], buffers[1])


@compiled
def _choose_top(read: F32, most_read: NDArray[np.int64]) -> None:
    """Fill ``most_read`` with the slots of the largest weights; ties: lowest slot."""
    for k in range(most_read.shape[0]):
        best = -1
        for i in range(read.shape[0]):
            taken = False
            for other in most_read[:k]:
                taken |= other == i
            if not taken and (best < 0 or read[i] > read[best]):
                best = i
        most_read[k] = best


@compiled_fastmath
def scan_events(
    rows: F32,
    row_index: NDArray[np.int64],
    items: NDArray[np.uint64],
    categories: NDArray[np.uint64],
    w: ScanWeights,
    options: tuple[int, int],
) -> None:
    """Apply events in order to the rows, in place; the layout is that of ``mimn_state``.

    Args:
        rows: ``[capacity, row_floats]``.
        row_index: Row of each event's user, ``[n]``.
        items: Item id of each event, ``[n]``.
        categories: Category id of each event, 0 where it has none, ``[n]``.
        w: Weights and ids.
        options: Channels that an event moves; index of the form of utilisation.
    """
    n_top, form = options
    m, d = w.initial_memory.shape
    n_hidden = w.controller_candidate_bias.shape[0]
    n_channel = w.channel_candidate_bias.shape[0]
    item_dim = w.tables.item_table.shape[1]
    controller = (
        w.controller_gates,
        w.controller_gates_bias,
        w.controller_candidate,
        w.controller_candidate_bias,
    )
    induction = (
        w.channel_gates,
        w.channel_gates_bias,
        w.channel_candidate,
        w.channel_candidate_bias,
    )
    event = np.empty(d, np.float32)
    gates, candidate = np.empty(2 * n_hidden, np.float32), np.empty(n_hidden, np.float32)
    c_gates, c_candidate = np.empty(2 * n_channel, np.float32), np.empty(n_channel, np.float32)
    heads = np.empty(4 * d, np.float32)
    read_w, write_w = np.empty(m, np.float32), np.empty(m, np.float32)
    final_w, most_read = np.empty(m, np.float32), np.empty(n_top, np.int64)
    a = m * d
    b = a + n_hidden
    c = b + d
    e = c + m * n_channel
    for k in range(row_index.shape[0]):
        row = rows[row_index[k]]
        memory, hidden = row[:a].reshape(m, d), row[a:b]
        last_read, channels = row[b:c], row[c:e].reshape(m, n_channel)
        usage = row[e : e + m]

        item, category = event_rows(items[k], categories[k], w.tables)
        event[:item_dim] = w.tables.item_table[item]
        event[item_dim:] = w.tables.category_table[category]

        gru_step((event, last_read), hidden, controller, gates, candidate)
        heads[:] = w.heads_bias
        accumulate(hidden, w.heads, 0, heads)
        sigmoid_in_place(heads[2 * d : 3 * d])
        tanh_in_place(heads[3 * d :])
        _address(heads[:d], memory, read_w)
        _address(heads[d : 2 * d], memory, write_w)
        last_read[:] = _ZERO
        for i in range(m):
            for j in range(d):
                last_read[j] += read_w[i] * memory[i, j]

        _utilise(write_w, usage, row[e + m], w.transfer, form, final_w)
        row[e + m] = min(row[e + m] + _ONE, _MAX_COUNT)
        for i in range(m):
            usage[i] += (final_w[i] - usage[i]) / row[e + m]
            for j in range(d):
                memory[i, j] = (
                    memory[i, j] * (_ONE - final_w[i] * heads[2 * d + j])
                    + final_w[i] * heads[3 * d + j]
                )
        _choose_top(read_w, most_read)
        _induce(event, memory, channels, most_read, induction, (c_gates, c_candidate))
