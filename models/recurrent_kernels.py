"""Compiled steps of the gated layer in ``models/recurrent.py``: the parts between two products.

In torch each of the fifteen sums and products of a step is a pass over memory of its own; here a
step is one pass. tanh is the approximation of ``scan_kernels``, good to 5e-7. Float32.

The columns of ``kept`` and ``moved`` are candidate, reset, update (none in an AGRU), and last the
part of the candidate that comes from the hidden state; H columns each.
"""

import numpy as np

from interest_center.core.compiled import compiled_fastmath
from models.scan_kernels import F32, accumulate, sigmoid_of, tanh_of

_ONE = np.float32(1)
_ZERO = np.float32(0)


@compiled_fastmath
def _gates(x: F32, h: F32, out: F32) -> None:
    for j in range(out.shape[0]):
        out[j] = sigmoid_of(x[j] + h[j])


@compiled_fastmath
def _candidates(x: F32, reset: F32, inner: F32, out: F32) -> None:
    for j in range(out.shape[0]):
        out[j] = tanh_of(x[j] + reset[j] * inner[j])


@compiled_fastmath
def advance(given: F32, driven: F32, share: F32, hidden: F32, kept: F32, following: F32) -> None:
    """Take a step: fill ``kept`` and the next hidden states.

    Args:
        given: x W + b, ``[s, G]``: candidate, reset, update.
        driven: h U, ``[s * n, G]``: reset, update, candidate.
        share: Factor of the update gate, ``[s * n]``.
        hidden: ``[s * n, H]``.
        kept: What the way back needs, ``[s * n, G + H]``.
        following: The next hidden states, ``[s * n, H]``.
    """
    n = hidden.shape[0] // given.shape[0]
    width, columns = hidden.shape[1], given.shape[1]
    for row in range(hidden.shape[0]):
        # Slices, and no loop that reads what it writes: else it is not made of vector instructions.
        x, h, old, new = given[row // n], driven[row], hidden[row], following[row]
        candidate, gates, inner = kept[row, :width], kept[row, width:columns], kept[row, columns:]
        _gates(x[width:], h, gates)
        inner[:] = h[columns - width :]
        _candidates(x, gates, inner, candidate)
        if columns > 2 * width:
            update = gates[width:]
            for j in range(width):
                new[j] = old[j] + share[row] * update[j] * (candidate[j] - old[j])
        else:
            for j in range(width):
                new[j] = old[j] + share[row] * (candidate[j] - old[j])


@compiled_fastmath
def walk_rows(given: F32, share: F32, weights: F32, states: F32) -> None:
    """Walk row by row, the products included: faster than products of few rows.

    Args:
        given: x W + b, ``[t, s, G]``.
        share: ``[t, s * n]``.
        weights: U, ``[H, G]``.
        states: Filled with the states after each step; the first ones are given,
            ``[t + 1, s * n, H]``.
    """
    n = share.shape[1] // given.shape[1]
    driven = np.empty((1, weights.shape[1]), np.float32)
    kept = np.empty((1, weights.shape[0] + weights.shape[1]), np.float32)
    for row in range(share.shape[1]):
        one, its = slice(row, row + 1), slice(row // n, row // n + 1)
        for t in range(share.shape[0]):
            driven[:] = _ZERO
            accumulate(states[t, row], weights, 0, driven[0])
            advance(given[t, its], driven, share[t, one], states[t, one], kept, states[t + 1, one])


@compiled_fastmath
def retreat(hidden: F32, share: F32, kept: F32, gradient: F32, moved: F32, of_share: F32) -> None:
    """Take a step back; the part of the gradient that comes through the products is left out.

    Args:
        hidden: Before the step, ``[s * n, H]``.
        share: As in ``advance``.
        kept: As ``advance`` left it.
        gradient: Of the hidden states after the step; afterwards of those before it.
        moved: Filled with the gradient of what entered the gates, ``[s * n, G + H]``.
        of_share: Filled with the gradient of ``share``, ``[s * n]``.
    """
    width = hidden.shape[1]
    for row in range(hidden.shape[0]):
        old, of, to, g, part = hidden[row], kept[row], moved[row], gradient[row], share[row]
        candidate, reset = of[:width], of[width : 2 * width]
        inner, through_inner = of[-width:], to[-width:]
        of_candidate, of_reset = to[:width], to[width : 2 * width]
        total = _ZERO
        if kept.shape[1] > 3 * width:
            update, of_update = of[2 * width : 3 * width], to[2 * width : 3 * width]
            for j in range(width):
                of_step = g[j] * (candidate[j] - old[j]) * update[j]
                total += of_step
                of_update[j] = of_step * part * (_ONE - update[j])
                of_candidate[j] = g[j] * part * update[j]
                g[j] -= of_candidate[j]
        else:
            for j in range(width):
                total += g[j] * (candidate[j] - old[j])
                of_candidate[j] = g[j] * part
                g[j] -= of_candidate[j]
        of_share[row] = total
        for j in range(width):
            of_candidate[j] *= _ONE - candidate[j] * candidate[j]
            through_inner[j] = of_candidate[j] * reset[j]
            of_reset[j] = through_inner[j] * inner[j] * (_ONE - reset[j])
