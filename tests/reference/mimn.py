"""MIMN (Pi et al., KDD 2019) as plain float64 loops, from the paper; imports nothing of ours.

Reads weights by name: ``item_table``, ``category_table``, ``initial_memory``, ``controller_gates``,
``controller_gates_bias``, ``controller_candidate``, ``controller_candidate_bias``, ``heads``,
``heads_bias``, ``transfer``, ``channel_gates``, ... as nested sequences or arrays. Gates are
(reset, keep), heads (read key, write key, erase, add), a cell's rows (event, second, hidden).
"""

import math
from dataclasses import dataclass, field

import numpy as np


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


def softmax(x: list[float]) -> list[float]:
    top = max(x)
    e = [math.exp(v - top) for v in x]
    total = sum(e)
    return [v / total for v in e]


def affine(x, w, b):
    return [b[o] + sum(x[i] * w[i][o] for i in range(len(x))) for o in range(len(b))]


def gru(x, h, gates_w, gates_b, candidate_w, candidate_b):
    """Cho et al. 2014: the reset gate acts on the hidden state before the matrix."""
    n = len(h)
    gates = [sigmoid(v) for v in affine(list(x) + list(h), gates_w, gates_b)]
    reset, keep = gates[:n], gates[n:]
    inner = list(x) + [reset[i] * h[i] for i in range(n)]
    candidate = [math.tanh(v) for v in affine(inner, candidate_w, candidate_b)]
    return [keep[i] * h[i] + (1 - keep[i]) * candidate[i] for i in range(n)]


def cosine(a, b) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    na = math.sqrt(sum(x * x for x in a))
    nb = math.sqrt(sum(y * y for y in b))
    return dot / (na * nb + 1e-8)


@dataclass
class State:
    """Memory, controller, last read, channels, sum of write weights; one user."""

    memory: list[list[float]]
    hidden: list[float]
    read: list[float]
    channels: list[list[float]]
    g: list[float]
    n_events: int = 0
    #: Distance of the chosen top channels from the rest, one an event: how near a tie was.
    margins: list[float] = field(default_factory=list)


def initial_state(w) -> State:
    m, d = len(w["initial_memory"]), len(w["initial_memory"][0])
    n_hidden, n_channel = len(w["controller_candidate_bias"]), len(w["channel_candidate_bias"])
    return State(
        memory=[[float(v) for v in slot] for slot in w["initial_memory"]],
        hidden=[0.0] * n_hidden,
        read=[0.0] * d,
        channels=[[0.0] * n_channel for _ in range(m)],
        g=[0.0] * m,
    )


def rebalance(write, g, transfer):
    """w~ = w P, P_ij = softmax_j(sum_k W[i][j][k] g_k / max(1, sum g)) (eq 6-7)."""
    m = len(write)
    scale = max(1.0, sum(g))
    out = [0.0] * m
    for i in range(m):
        row = softmax([sum(transfer[i][j][k] * g[k] / scale for k in range(m)) for j in range(m)])
        for j in range(m):
            out[j] += write[i] * row[j]
    return out


def step(state: State, x, w, n_top: int = 1, chosen: list[int] | None = None) -> State:
    """One event. ``chosen`` overrides the choice of channels where it was nearer than 1e-5."""
    m, d = len(state.memory), len(state.memory[0])
    hidden = gru(
        list(x) + state.read,
        state.hidden,
        w["controller_gates"],
        w["controller_gates_bias"],
        w["controller_candidate"],
        w["controller_candidate_bias"],
    )
    p = affine(hidden, w["heads"], w["heads_bias"])
    key_r, key_w = p[:d], p[d : 2 * d]
    erase = [sigmoid(v) for v in p[2 * d : 3 * d]]
    add = [math.tanh(v) for v in p[3 * d :]]
    w_read = softmax([cosine(key_r, slot) for slot in state.memory])
    w_write = softmax([cosine(key_w, slot) for slot in state.memory])
    read = [sum(w_read[i] * state.memory[i][j] for i in range(m)) for j in range(d)]
    final = rebalance(w_write, state.g, w["transfer"])
    memory = [
        [state.memory[i][j] * (1 - final[i] * erase[j]) + final[i] * add[j] for j in range(d)]
        for i in range(m)
    ]
    order = sorted(range(m), key=lambda i: (-w_read[i], i))
    margin = w_read[order[n_top - 1]] - w_read[order[n_top]] if 0 < n_top < m else math.inf
    top = chosen if chosen is not None and margin < 1e-5 else order[:n_top]
    channels = [list(c) for c in state.channels]
    for i in top:
        channels[i] = gru(
            list(x) + memory[i],
            channels[i],
            w["channel_gates"],
            w["channel_gates_bias"],
            w["channel_candidate"],
            w["channel_candidate_bias"],
        )
    return State(
        memory,
        hidden,
        read,
        channels,
        [a + b for a, b in zip(state.g, final, strict=True)],
        state.n_events + 1,
        [*state.margins, margin],
    )


def row(state: State) -> np.ndarray:
    """The state as the product lays it out: memory, controller, read, channels, usage, count."""
    n = max(1, state.n_events)
    flat = np.concatenate(
        [
            np.ravel(state.memory),
            state.hidden,
            state.read,
            np.ravel(state.channels),
            np.asarray(state.g) / n,
            [state.n_events],
        ]
    )
    return flat.astype(np.float64)


def candidate_read(state: State, x, w) -> list[float]:
    """One controller step on the candidate, nothing stored; read by its key (eq 1-3)."""
    hidden = gru(
        list(x) + state.read,
        state.hidden,
        w["controller_gates"],
        w["controller_gates_bias"],
        w["controller_candidate"],
        w["controller_candidate_bias"],
    )
    d = len(state.read)
    key = affine(hidden, w["heads"], w["heads_bias"])[:d]
    weights = softmax([cosine(key, slot) for slot in state.memory])
    return [sum(weights[i] * state.memory[i][j] for i in range(len(weights))) for j in range(d)]


def utilisation_loss(usage_sum, rate: float) -> float:
    """Eq 8 of one user: rate * sum_i (w'_i - mean w')^2."""
    mean = sum(usage_sum) / len(usage_sum)
    return rate * sum((v - mean) ** 2 for v in usage_sum)


def choices_of(before, after, w) -> dict[str, list[int]]:
    """What a step follows the product in, where either choice is right: the channels it moved.

    Args:
        before: The product's row before the event.
        after: The same row after it.
        w: Weights.
    """
    m, d = len(w["initial_memory"]), len(w["initial_memory"][0])
    n_hidden, n_channel = len(w["controller_candidate_bias"]), len(w["channel_candidate_bias"])
    first = m * d + n_hidden + d
    part = slice(first, first + m * n_channel)
    moved = (before[part] != after[part]).reshape(m, n_channel).any(axis=1)
    return {"chosen": np.flatnonzero(moved).tolist()}
