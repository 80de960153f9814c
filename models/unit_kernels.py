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
def enter(
    keys: F32, queries: F32, per_query: F32, added: tuple[F32, F32, F32], out: tuple[F32, F32]
) -> None:
    """Fill the products q * k and what is known of the first layer without them.

    Args:
        keys: ``[s, t, D]``.
        queries: ``[s, n, D]``.
        per_query: What each query adds, ``[s, n, h]``.
        added: What each key adds, ``[s * t, h]``; facts of each pair, ``[s, t, n, f]``; what each
            fact adds, ``[f, h]``.
        out: ``[r, D]`` and ``[r, h]``.
    """
    per_key, facts, rows = added
    products, layer = out
    n, t = queries.shape[1], keys.shape[1]
    r = 0
    for s in range(keys.shape[0]):
        for j in range(t):
            key, of_key = keys[s, j], per_key[s * t + j]
            for i in range(n):
                query, of_query = queries[s, i], per_query[s, i]
                product, first = products[r], layer[r]
                for d in range(key.shape[0]):
                    product[d] = key[d] * query[d]
                for d in range(first.shape[0]):
                    first[d] = of_key[d] + of_query[d]
                for f in range(rows.shape[0]):
                    fact = facts[s, j, i, f]
                    if fact != _ZERO:
                        for d in range(first.shape[0]):
                            first[d] += fact * rows[f, d]
                r += 1


@compiled_fastmath
def squash(layer: F32) -> None:
    """Replace every value by its sigmoid, ``[r, h]``."""
    for r in range(layer.shape[0]):
        row = layer[r]
        for d in range(row.shape[0]):
            row[d] = sigmoid_of(row[d])


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
def back_through_first(
    layer: F32, facts: F32, moved: F32, of_rows: F32, out: tuple[F32, F32]
) -> None:
    """Turn the gradient of the first layer's sigmoid into that of what entered it.

    Args:
        layer: As ``squash`` left it, ``[r, h]``.
        facts: ``[s, t, n, f]``.
        moved: Gradient, ``[r, h]``; afterwards of what entered.
        of_rows: To which the gradient of what each fact adds is added, ``[f, h]``.
        out: Filled with the gradients of what queries, ``[s, n, h]``, and keys, ``[s * t, h]``,
            add.
    """
    of_queries, of_keys = out
    of_queries[:] = _ZERO
    r = 0
    for s in range(facts.shape[0]):
        for j in range(facts.shape[1]):
            of_key = of_keys[s * facts.shape[1] + j]
            of_key[:] = _ZERO
            for i in range(facts.shape[2]):
                row, to, of_query = layer[r], moved[r], of_queries[s, i]
                for d in range(row.shape[0]):
                    to[d] *= row[d] * (_ONE - row[d])
                for d in range(row.shape[0]):
                    of_query[d] += to[d]
                for d in range(row.shape[0]):
                    of_key[d] += to[d]
                for f in range(facts.shape[3]):
                    fact = facts[s, j, i, f]
                    if fact != _ZERO:
                        for d in range(row.shape[0]):
                            of_rows[f, d] += fact * to[d]
                r += 1


@compiled_fastmath
def back_from_products(
    keys: F32, queries: F32, of_products: F32, of_keys: F32, of_queries: F32
) -> None:
    """Add the gradient that comes through q * k.

    Args:
        keys: ``[s, t, D]``.
        queries: ``[s, n, D]``.
        of_products: ``[r, D]``.
        of_keys: To which it is added, ``[s, t, D]``.
        of_queries: Filled, ``[s, n, D]``.
    """
    of_queries[:] = _ZERO
    r = 0
    for s in range(keys.shape[0]):
        for j in range(keys.shape[1]):
            key, of_key = keys[s, j], of_keys[s, j]
            for i in range(queries.shape[1]):
                query, of_query, g = queries[s, i], of_queries[s, i], of_products[r]
                for d in range(key.shape[0]):
                    of_key[d] += g[d] * query[d]
                for d in range(key.shape[0]):
                    of_query[d] += g[d] * key[d]
                r += 1
