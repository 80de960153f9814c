"""Compiled parts of attention units between their products of matrices; float32.

In torch each sum, product and sigmoid is a pass over memory of its own. Here a tile of requests
small enough for the processor's cache is done with before the next. In training (``enter`` and the
way back) rows are ordered request, behavior, candidate: ``r = s * t * n`` of them. tanh is the
approximation of ``scan_kernels``, good to 5e-7.
"""

import numpy as np

from interest_center.core.compiled import compiled_fastmath
from models.scan_kernels import F32, sigmoid_of

_ONE = np.float32(1)
_ZERO = np.float32(0)


@compiled_fastmath
def activate(layer: F32, smooth: bool) -> None:
    """Replace a layer, ``[...]`` without gaps, by its sigmoid, or by its relu."""
    # One long loop: a loop a row would spend as much on its ends as on the rest.
    values = layer.reshape(-1)
    if smooth:
        for i in range(values.shape[0]):
            values[i] = sigmoid_of(values[i])
    else:
        for i in range(values.shape[0]):
            values[i] = max(values[i], _ZERO)


@compiled_fastmath
def third_layer(
    layer: F32,
    weight: F32,
    bias: F32,
    smooth: bool,
    scores: F32,
    box: tuple[int, int, int, int, int, int],
) -> None:
    """Activate the second layer and fill the scores of a tile.

    Args:
        layer: What enters the activation, ``[r, g]``.
        weight: ``[g]``.
        bias: ``[1]``.
        smooth: See ``activate``.
        scores: ``[x, y, z]``.
        box: Where the tile begins and ends in each of its dimensions; r elements.
    """
    activate(layer, smooth)
    r = 0
    for i in range(box[0], box[1]):
        for j in range(box[2], box[3]):
            for k in range(box[4], box[5]):
                row, total = layer[r], bias[0]
                for d in range(weight.shape[0]):
                    total += row[d] * weight[d]
                scores[i, j, k] = total
                r += 1


@compiled_fastmath
def add_facts(facts: F32, rows: F32, layer: F32) -> None:
    """Add to the first layer what the facts of pairs add; most facts are none.

    Args:
        facts: Of each pair, ``[r, f]``.
        rows: What each fact adds, ``[f, h]``.
        layer: ``[r, h]``.
    """
    for r in range(facts.shape[0]):
        for f in range(rows.shape[0]):
            fact = facts[r, f]
            if fact != _ZERO:
                for d in range(layer.shape[1]):
                    layer[r, d] += fact * rows[f, d]


@compiled_fastmath
def make_matrices(right: F32, of_products: F32, of_left: F32, alone: F32, made: F32) -> None:
    """Fill what one side is multiplied with for each of the other, and last what that one adds.

    Args:
        right: The side that each has a matrix for, ``[s, b, D]``.
        of_products: Wp, ``[D, h]``.
        of_left: What the other side's own part is multiplied with, ``[D, h]``.
        alone: What each of this side adds, ``[s, b, h]``.
        made: ``[s, D + 1, b, h]``.
    """
    dim, h = of_products.shape
    for s in range(made.shape[0]):
        for k in range(dim):
            for j in range(made.shape[2]):
                value = right[s, j, k]
                for d in range(h):
                    made[s, k, j, d] = of_left[k, d] + value * of_products[k, d]
        made[s, dim] = alone[s]


@compiled_fastmath
def place_queries(queries: F32, places: F32, placed: F32) -> None:
    """Fill what queries are seen as from each place, the relu of their sums, and a one behind it.

    Args:
        queries: ``[s, n, D]``.
        places: ``[s, t, D]``.
        placed: ``[s, t, n, D + 1]``.
    """
    dim = queries.shape[2]
    for s in range(placed.shape[0]):
        for j in range(placed.shape[1]):
            for i in range(placed.shape[2]):
                for d in range(dim):
                    placed[s, j, i, d] = max(queries[s, i, d] + places[s, j, d], _ZERO)
                placed[s, j, i, dim] = _ONE


@compiled_fastmath
def _sigmoid(row: F32) -> None:
    for d in range(row.shape[0]):
        row[d] = sigmoid_of(row[d])


@compiled_fastmath
def _add(row: F32, more: F32) -> None:
    for d in range(row.shape[0]):
        row[d] += more[d]


@compiled_fastmath
def _add_facts(row: F32, facts: F32, rows: F32) -> None:
    for f in range(rows.shape[0]):
        fact, of_fact = facts[f], rows[f]
        if fact != _ZERO:
            for d in range(row.shape[0]):
                row[d] += fact * of_fact[d]


@compiled_fastmath
def enter(per_query: F32, per_key: F32, facts: F32, rows: F32, layer: F32) -> None:
    """Add to the first layer what does not come by its product, and take its sigmoid.

    Args:
        per_query: What each query adds, ``[s, n, h]``.
        per_key: What each key adds, ``[s, t, h]``; ``[0, 0, 0]`` for nothing.
        facts: Of each pair, ``[s, t, n, f]``.
        rows: What each fact adds, ``[f, h]``.
        layer: ``[r, h]``.
    """
    r = 0
    for s in range(facts.shape[0]):
        for j in range(facts.shape[1]):
            for i in range(facts.shape[2]):
                first = layer[r]
                if per_key.shape[0]:
                    _add(first, per_key[s, j])
                _add_facts(first, facts[s, j, i], rows)
                _add(first, per_query[s, i])
                _sigmoid(first)
                r += 1


@compiled_fastmath
def back_from_scores(of_scores: F32, layer: F32, weight: F32, moved: F32, sums: F32) -> None:
    """Fill the gradient of what entered the second layer's sigmoid.

    Args:
        of_scores: Gradient, ``[r]``.
        layer: The second, activated, ``[r, g]``.
        weight: Of the third layer, ``[g]``.
        moved: The gradient, ``[r, g]``.
        sums: To which the gradients of the third layer's weight and of the second layer's bias are
            added, ``[2, g]``.
    """
    of_weight, of_bias = sums[0], sums[1]
    for r in range(layer.shape[0]):
        row, to, g = layer[r], moved[r], of_scores[r]
        for d in range(row.shape[0]):
            of_weight[d] += g * row[d]
            to[d] = g * weight[d] * row[d] * (_ONE - row[d])
            of_bias[d] += to[d]


@compiled_fastmath
def back_through_first(layer: F32, facts: F32, moved: F32, of_rows: F32, of_queries: F32) -> None:
    """Turn the gradient of the first layer's sigmoid into that of what entered it.

    Args:
        layer: As ``enter`` left it, ``[r, h]``.
        facts: ``[s, t, n, f]``.
        moved: Gradient, ``[r, h]``; afterwards of what entered.
        of_rows: To which the gradient of what each fact adds is added, ``[f, h]``.
        of_queries: Filled with the gradient of what queries add, ``[s, n, h]``.
    """
    of_queries[:] = _ZERO
    r = 0
    for s in range(facts.shape[0]):
        for j in range(facts.shape[1]):
            for i in range(facts.shape[2]):
                row, to, of_query = layer[r], moved[r], of_queries[s, i]
                for d in range(row.shape[0]):
                    to[d] *= row[d] * (_ONE - row[d])
                for d in range(row.shape[0]):
                    of_query[d] += to[d]
                for f in range(facts.shape[3]):
                    fact = facts[s, j, i, f]
                    if fact != _ZERO:
                        for d in range(row.shape[0]):
                            of_rows[f, d] += fact * to[d]
                r += 1


@compiled_fastmath
def back_from_matrices(
    queries: F32, weight: F32, of_matrices: F32, of_keys: F32, of_products: F32, of_queries: F32
) -> None:
    """Take the gradient of (Wk - Wd) + diag(q) Wp apart.

    Args:
        queries: ``[s, n, D]``.
        weight: Wp, ``[D, h]``.
        of_matrices: ``[s, D, n, h]``.
        of_keys: To which that of Wk - Wd is added, ``[D, h]``.
        of_products: To which that of Wp is added, ``[D, h]``.
        of_queries: Filled, ``[s, n, D]``.
    """
    for s in range(queries.shape[0]):
        for k in range(queries.shape[2]):
            row, of_key, of_product = weight[k], of_keys[k], of_products[k]
            for i in range(queries.shape[1]):
                found, query, total = of_matrices[s, k, i], queries[s, i, k], _ZERO
                for d in range(row.shape[0]):
                    of_key[d] += found[d]
                for d in range(row.shape[0]):
                    of_product[d] += query * found[d]
                for d in range(row.shape[0]):
                    total += found[d] * row[d]
                of_queries[s, i, k] = total
