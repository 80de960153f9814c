"""Compiled parts of DIN's activation unit between its products of matrices; float32.

In torch each sum, product and sigmoid is a pass over memory of its own. Here a tile of requests
small enough for the processor's cache is done with before the next. Rows are ordered request,
behavior, candidate: ``r = s * t * n`` of them. tanh is the approximation of ``scan_kernels``, good
to 5e-7.
"""

import numpy as np

from interest_center.core.compiled import compiled_fastmath
from models.scan_kernels import F32, sigmoid_of

_ONE = np.float32(1)
_ZERO = np.float32(0)


@compiled_fastmath
def enter(per_query: F32, per_key: F32, facts: F32, rows: F32, layer: F32) -> None:
    """Add to the first layer what does not come by its product, and replace it by its sigmoid.

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
                first, of_query = layer[r], per_query[s, i]
                if per_key.shape[0]:
                    of_key = per_key[s, j]
                    for d in range(first.shape[0]):
                        first[d] += of_key[d]
                for f in range(rows.shape[0]):
                    fact = facts[s, j, i, f]
                    if fact != _ZERO:
                        for d in range(first.shape[0]):
                            first[d] += fact * rows[f, d]
                for d in range(first.shape[0]):
                    first[d] = sigmoid_of(first[d] + of_query[d])
                r += 1


@compiled_fastmath
def leave(layer: F32, weight: F32, bias: float, scores: F32) -> None:
    """Replace the second layer by its sigmoid and fill the scores.

    Args:
        layer: ``[r, g]``.
        weight: Of the third layer, ``[g]``.
        bias: Of it.
        scores: ``[r]``.
    """
    for r in range(layer.shape[0]):
        row, score = layer[r], _ZERO
        for d in range(row.shape[0]):
            row[d] = sigmoid_of(row[d])
        for d in range(row.shape[0]):
            score += row[d] * weight[d]
        scores[r] = score + bias


@compiled_fastmath
def back_from_scores(of_scores: F32, layer: F32, weight: F32, moved: F32, sums: F32) -> None:
    """Fill the gradient of what entered the second layer's sigmoid.

    Args:
        of_scores: Gradient, ``[r]``.
        layer: As ``leave`` left it, ``[r, g]``.
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
