"""The oracle of the MIMN memory: a plain float64 loop over a user's events, one at a time.

Written from the paper (Pi et al. 2019, eq 1-9) and from the reading of it that the model states:
write weights are rebalanced by a row-stochastic matrix of the slots' use so far, scaled to at most
1; the channels of the most read slots move on the new memory. Reads the bundle's file itself and
imports no product code.

A memory row is, in this order: slots [m, D], controller [H], last read [D], channels [m, C],
mean of the rebalanced write weights [m], number of events.

Where the choice of the top channel is closer than 1e-5, float32 and float64 may choose differently
and both are right: the loop then follows both, and keeps the branch nearest to the product's row.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

F64 = NDArray[np.float64]

NEAR_TIE = 1e-5
MAX_BRANCHES = 64
EPSILON = 1e-8


def identifier_of(text: str) -> int:
    """Return the 64 bits of an id: a decimal below 2**63 is itself, all else a marked hash."""
    plain = text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= 19
    if plain and int(text) < 1 << 63:
        return int(text)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") | 1 << 63


def sigmoid(x: F64) -> F64:
    """Return the logistic function."""
    return 1.0 / (1.0 + np.exp(-x))


def softmax(x: F64) -> F64:
    """Return the softmax over the last axis."""
    raised = np.exp(x - x.max(-1, keepdims=True))
    shares: F64 = raised / raised.sum(-1, keepdims=True)
    return shares


def cosines(key: F64, slots: F64) -> F64:
    """Return the cosine of a key with each slot."""
    lengths = np.linalg.norm(key) * np.linalg.norm(slots, axis=1)
    angles: F64 = slots @ key / (lengths + EPSILON)
    return angles


@dataclass(frozen=True)
class Gru:
    """A GRU cell with a keep gate; rows of the weights: input, then hidden."""

    gates: F64
    gates_bias: F64
    candidate: F64
    candidate_bias: F64

    def step(self, x: F64, hidden: F64) -> F64:
        """Return the next hidden vector."""
        both = sigmoid(np.concatenate((x, hidden)) @ self.gates + self.gates_bias)
        reset, keep = both[: len(hidden)], both[len(hidden) :]
        fresh = np.concatenate((x, reset * hidden)) @ self.candidate + self.candidate_bias
        return keep * hidden + (1.0 - keep) * np.tanh(fresh)


class MemoryOracle:
    """Computes memory rows with the weights of one bundle.

    Args:
        bundle: Directory of the bundle.
    """

    def __init__(self, bundle: Path) -> None:
        manifest: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())
        tensors = load_file(bundle / manifest["weights"]["file"])
        self.config: dict[str, Any] = manifest["config"]["memory_config"]
        assert self.config["utilisation"] == "transfer_matrix"

        def wide(name: str) -> F64:
            return tensors[name].astype(np.float64)

        self.items = {int(x): row for row, x in enumerate(tensors["vocabulary.items"], 1)}
        self.categories = {int(x): row for row, x in enumerate(tensors["vocabulary.categories"], 1)}
        self.own_category = tensors["vocabulary.item_categories"]
        self.item_table = wide("item_table.weight")
        self.category_table = wide("category_table.weight")
        self.initial_memory = wide("memory.initial_memory")
        self.controller = self._gru(wide, "memory.controller")
        self.channel = self._gru(wide, "memory.channels")
        self.heads, self.heads_bias = wide("memory.heads"), wide("memory.heads_bias")
        self.transfer = wide("memory.transfer")

    @staticmethod
    def _gru(wide: Any, name: str) -> Gru:
        parts = ("gates", "gates_bias", "candidate", "candidate_bias")
        return Gru(*(wide(f"{name}.{part}") for part in parts))

    def embedding_of(self, item: str, category: str | None) -> F64:
        """Return the vector of an event; an item sent without category has the one it is known by.

        Unknown ids have row 0.
        """
        row = self.items.get(identifier_of(item), 0)
        known = identifier_of(category) if category is not None else 0
        if known == 0 and row > 0:
            known = int(self.own_category[row - 1])
        own = self.category_table[self.categories.get(known, 0)]
        return np.concatenate((self.item_table[row], own))

    def knows(self, item: str) -> bool:
        """Tell whether an item has an embedding of its own."""
        return identifier_of(item) in self.items

    def row_of(
        self, events: Sequence[tuple[str, str | None]], follow: F64 | None = None
    ) -> tuple[F64, int]:
        """Walk the events and return the memory row and how many near ties were met.

        Args:
            events: Item and category of each event that feeds the memory, in order.
            follow: The product's row, which decides between branches.
        """
        m = len(self.initial_memory)
        memory = self.initial_memory.copy()
        d = memory.shape[1]
        hidden = np.zeros(len(self.controller.candidate_bias))
        read, g = np.zeros(d), np.zeros(m)
        branches = [np.zeros((m, len(self.channel.candidate_bias)))]
        near_ties = 0
        for item, category in events:
            x = self.embedding_of(item, category)
            hidden = self.controller.step(np.concatenate((x, read)), hidden)
            head = hidden @ self.heads + self.heads_bias
            read_key, write_key = head[:d], head[d : 2 * d]
            erase, add = sigmoid(head[2 * d : 3 * d]), np.tanh(head[3 * d :])
            w_read = softmax(cosines(read_key, memory))
            w_write = softmax(cosines(write_key, memory))
            read = w_read @ memory
            shares = softmax(self.transfer @ (g / max(1.0, float(g.sum()))))
            final = w_write @ shares
            memory = memory * (1.0 - np.outer(final, erase)) + np.outer(final, add)
            g = g + final
            choices = top_choices(w_read, self.config["n_top_channels"])
            near_ties += len(choices) > 1
            moved = [self._moved(s, choice, x, memory) for s in branches for choice in choices]
            branches = moved[:MAX_BRANCHES]
        n = len(events)
        tail = [*(g / max(1, n)), float(n)]
        rows = [
            np.concatenate((memory.ravel(), hidden, read, channels.ravel(), tail))
            for channels in branches
        ]
        if follow is None or follow.shape != rows[0].shape:
            return rows[0], near_ties
        return min(rows, key=lambda row: float(np.abs(row - follow).max())), near_ties

    def _moved(self, channels: F64, choice: Sequence[int], x: F64, memory: F64) -> F64:
        moved = channels.copy()
        for slot in choice:
            moved[slot] = self.channel.step(np.concatenate((x, memory[slot])), channels[slot])
        return moved


def top_choices(weights: F64, n_top: int) -> list[tuple[int, ...]]:
    """Return the slots with the largest weights; near ties of the last place give more choices."""
    order = sorted(range(len(weights)), key=lambda slot: (-weights[slot], slot))
    chosen = tuple(order[:n_top])
    if not 0 < n_top < len(weights):
        return [chosen]
    last = weights[order[n_top - 1]]
    rivals = [slot for slot in order[n_top:] if last - weights[slot] < NEAR_TIE]
    return [chosen, *((*chosen[:-1], rival) for rival in rivals)]
