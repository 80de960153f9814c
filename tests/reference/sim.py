"""Exact search unit of SIM (Pi et al., CIKM 2020) as float64 loops; imports nothing of ours."""

import math


def product(x, w):
    return [sum(x[i] * w[i][o] for i in range(len(x))) for o in range(len(w[0]))]


def head(candidate, rows, of_query, of_key):
    """head_i = sum_b softmax_b(W_b z_b . W_a e_a) z_b; nothing found gives zeros."""
    out = [0.0] * len(of_key)
    if not rows:
        return out
    asked = product(candidate, of_query)
    scores = [sum(a * b for a, b in zip(product(z, of_key), asked, strict=True)) for z in rows]
    exps = [math.exp(score - max(scores)) for score in scores]
    for e, z in zip(exps, rows, strict=True):
        for i, v in enumerate(z):
            out[i] += e / sum(exps) * v
    return out


def long_term(candidate, behaviors, times, heads):
    """U_lt = [head_1; ...] of the behaviors of the candidate's category; ``heads``: (W_a, W_b)."""
    rows = [[*e, *t] for e, t in zip(behaviors, times, strict=True)]
    return [v for of_query, of_key in heads for v in head(candidate, rows, of_query, of_key)]
