"""Compiled pieces that scans of memory models share; float32, no GIL.

fastmath allows reassociated sums, so that loops vectorise; inputs are finite by contract.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import compiled, compiled_fastmath
from models.vocabulary import bucket_of, row_of

F32 = NDArray[np.float32]

_ONE = np.float32(1)
_HALF = np.float32(0.5)
_ZERO = np.float32(0)


class EventTables(NamedTuple):
    """What turns an event's ids into its embedding.

    Attributes:
        item_ids: Sorted item ids of the vocabulary.
        item_categories: Category id of each, 0 where it has none.
        category_ids: Sorted category ids.
        item_table: ``[1 + n_items + n_buckets, item_dim]``, row 0 for unknown ids.
        category_table: ``[1 + n_categories, category_dim]``.
    """

    item_ids: NDArray[np.uint64]
    item_categories: NDArray[np.uint64]
    category_ids: NDArray[np.uint64]
    item_table: F32
    category_table: F32


@compiled
def event_rows(item: np.uint64, category: np.uint64, tables: EventTables) -> tuple[int, int]:
    """Return the rows of an event's item and category, as ``Vocabulary`` does.

    Args:
        item: Item id.
        category: Category id, 0 for the one that the item is known by.
        tables: Ids and tables.
    """
    item_row = row_of(tables.item_ids, item)
    if item_row == 0:
        n_known = 1 + tables.item_ids.shape[0]
        n_buckets = tables.item_table.shape[0] - n_known
        if n_buckets > 0:
            item_row = n_known + bucket_of(item, n_buckets)
    elif category == 0:
        category = tables.item_categories[item_row - 1]
    return item_row, row_of(tables.category_ids, category)


@compiled_fastmath
def tanh_of(value: np.float32) -> np.float32:
    """Return the hyperbolic tangent, good to 5e-7."""
    # A ratio of polynomials (the coefficients that Eigen uses for float32): it vectorises, libm's
    # tanh does not. The clamp is where float32 tanh reaches 1.
    v = min(max(value, np.float32(-7.905311)), np.float32(7.905311))
    s = v * v
    top = np.float32(-2.76076847742355e-16)
    top = top * s + np.float32(2.00018790482477e-13)
    top = top * s + np.float32(-8.60467152213735e-11)
    top = top * s + np.float32(5.12229709037114e-08)
    top = top * s + np.float32(1.48572235717979e-05)
    top = top * s + np.float32(6.37261928875436e-04)
    top = top * s + np.float32(4.89352455891786e-03)
    low = np.float32(1.19825839466702e-06)
    low = low * s + np.float32(1.18534705686654e-04)
    low = low * s + np.float32(2.26843463243900e-03)
    low = low * s + np.float32(4.89352518554385e-03)
    return v * top / low


@compiled_fastmath
def sigmoid_of(value: np.float32) -> np.float32:
    """Return the logistic function, good to 3e-7."""
    return _HALF + _HALF * tanh_of(_HALF * value)


@compiled_fastmath
def tanh_in_place(x: F32) -> None:
    """Replace each value by its hyperbolic tangent."""
    for i in range(x.shape[0]):
        x[i] = tanh_of(x[i])


@compiled_fastmath
def sigmoid_in_place(x: F32) -> None:
    """Replace each value by its logistic function."""
    for i in range(x.shape[0]):
        x[i] = x[i] * _HALF
    tanh_in_place(x)
    for i in range(x.shape[0]):
        x[i] = _HALF + _HALF * x[i]


@compiled_fastmath
def accumulate(x: F32, weights: F32, first: int, out: F32) -> None:
    """Add ``x @ weights[first : first + len(x)]`` to ``out``."""
    for i in range(x.shape[0]):
        value = x[i]
        row = weights[first + i]
        for o in range(out.shape[0]):
            out[o] += value * row[o]


@compiled_fastmath
def dot(a: F32, b: F32) -> np.float32:
    """Return the inner product."""
    total = _ZERO
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@compiled_fastmath
def softmax_in_place(x: F32) -> None:
    """Replace values by their softmax."""
    highest = x[0]
    for i in range(x.shape[0]):
        highest = max(highest, x[i])
    total = _ZERO
    for i in range(x.shape[0]):
        x[i] = np.exp(x[i] - highest)
        total += x[i]
    for i in range(x.shape[0]):
        x[i] /= total


@compiled_fastmath
def gru_step(
    x: tuple[F32, F32],
    hidden: F32,
    weights: tuple[F32, F32, F32, F32],
    gates: F32,
    candidate: F32,
) -> None:
    """Move ``hidden`` by one step on the input (x[0], x[1]); the last two are buffers."""
    gate_weights, gate_bias, candidate_weights, candidate_bias = weights
    first, second = x[0].shape[0], x[0].shape[0] + x[1].shape[0]
    n = hidden.shape[0]
    gates[:] = gate_bias
    accumulate(x[0], gate_weights, 0, gates)
    accumulate(x[1], gate_weights, first, gates)
    accumulate(hidden, gate_weights, second, gates)
    sigmoid_in_place(gates)
    for i in range(n):
        gates[i] *= hidden[i]
    candidate[:] = candidate_bias
    accumulate(x[0], candidate_weights, 0, candidate)
    accumulate(x[1], candidate_weights, first, candidate)
    accumulate(gates[:n], candidate_weights, second, candidate)
    tanh_in_place(candidate)
    for i in range(n):
        keep = gates[n + i]
        hidden[i] = keep * hidden[i] + (_ONE - keep) * candidate[i]
