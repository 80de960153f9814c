"""HPMN (Ren et al., SIGIR 2019) as plain float64 loops from its text; imports nothing of ours.

Reads by name: ``periods``; of slot j ``slot_j_gates``, ``slot_j_gates_bias``,
``slot_j_candidate``, ``slot_j_candidate_bias`` (gates are (reset, keep), rows (input, slot)); for a
read ``query.weight``, ``query.bias``, ``hop_map`` and of hop h ``hops.h.first.weight``,
``.second``, ``.third`` and biases, whose matrices are [output, input].
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


def sigmoid(x):
    return 1.0 / (1.0 + math.exp(-x))


def affine(x, w, b):
    return [b[o] + sum(x[i] * w[i][o] for i in range(len(x))) for o in range(len(b))]


def transposed(w):
    return [list(column) for column in zip(*w, strict=True)]


def gru(x, h, gates_w, gates_b, candidate_w, candidate_b):
    """Cho et al. 2014: the reset gate acts on the hidden state before the matrix."""
    n = len(h)
    gates = [sigmoid(v) for v in affine([*x, *h], gates_w, gates_b)]
    inner = [*x, *(gates[i] * h[i] for i in range(n))]
    candidate = [math.tanh(v) for v in affine(inner, candidate_w, candidate_b)]
    return [gates[n + i] * h[i] + (1 - gates[n + i]) * candidate[i] for i in range(n)]


@dataclass
class State:
    """Slots and the number of events, a Python integer; one user."""

    slots: list[list[float]]
    n_events: int
    periods: tuple[int, ...]


def initial_state(w) -> State:
    dim = len(w["slot_0_candidate_bias"])
    periods = tuple(w["periods"])
    return State([[0.0] * dim for _ in periods], 0, periods)


def step(state: State, x, w) -> State:
    """One event: slot j moves when the event's number is a multiple of its period."""
    number = state.n_events + 1
    slots = [list(slot) for slot in state.slots]
    for j, period in enumerate(state.periods):
        if number % period == 0:
            parts = ("gates", "gates_bias", "candidate", "candidate_bias")
            given = x if j == 0 else slots[j - 1]
            slots[j] = gru(given, slots[j], *(w[f"slot_{j}_{part}"] for part in parts))
    return State(slots, number, state.periods)


def choices_of(before, after, w) -> dict[str, Any]:
    """What a step follows the product in, where either choice is right: nothing."""
    return {}


def row(state: State) -> np.ndarray:
    """The state as the product lays it out: slots, phase, number of events."""
    phase = state.n_events % state.periods[-1]
    return np.concatenate([np.ravel(state.slots), [phase, state.n_events]]).astype(np.float64)


def attend(q, slots, layers):
    """Softmax over slots of MLP([q, m, q - m, q * m]); ``layers`` are (matrix, bias) of three."""
    scores = []
    for m in slots:
        pairs = list(zip(q, m, strict=True))
        z = [*q, *m, *(a - b for a, b in pairs), *(a * b for a, b in pairs)]
        for w, b in layers[:2]:
            z = [max(0.0, v) for v in affine(z, w, b)]
        scores.append(affine(z, *layers[2])[0])
    exps = [math.exp(s - max(scores)) for s in scores]
    return [e / sum(exps) for e in exps]


def hop(q, slots, layers, hop_map):
    """One hop: q H + sum_j a_j m_j."""
    weights = attend(q, slots, layers)
    moved = affine(q, hop_map, [0.0] * len(q))
    return [
        v + sum(a * slot[i] for a, slot in zip(weights, slots, strict=True))
        for i, v in enumerate(moved)
    ]


def candidate_read(state: State, x, w) -> list[float]:
    """The query after all hops."""
    q = affine(x, transposed(w["query.weight"]), w["query.bias"])
    h = 0
    while f"hops.{h}.first.weight" in w:
        layers = [
            (transposed(w[f"hops.{h}.{layer}.weight"]), w[f"hops.{h}.{layer}.bias"])
            for layer in ("first", "second", "third")
        ]
        q = hop(q, state.slots, layers, w["hop_map"])
        h += 1
    return q


def off_diagonal(slots):
    """Covariances of the slots over their values, 0 on the diagonal."""
    k, dim = len(slots), len(slots[0])
    centred = [[v - sum(slot) / dim for v in slot] for slot in slots]
    return [
        [
            sum(a * b for a, b in zip(centred[i], centred[j], strict=True)) / dim if i != j else 0.0
            for j in range(k)
        ]
        for i in range(k)
    ]


def covariance_norm(slots) -> float:
    """Frobenius norm of the covariances off the diagonal, of one user."""
    return math.sqrt(sum(c * c for line in off_diagonal(slots) for c in line))
