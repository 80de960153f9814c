"""Long-term memories as plain float64 loops over a user's events, from the papers' equations.

MIMN: Pi et al. 2019, eq 1-9, in the reading that ``models/mimn.py`` states. HPMN: Ren et al. 2019,
as ``models/hpmn.py`` states. Both read the tensors of a bundle's file and nothing else of
``models``; a row is laid out as the bundle's updater lays it out.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle_files import read_files, read_manifest

F64 = NDArray[np.float64]
Events = Sequence[tuple[int, int]]
Kept = Callable[[F64], F64]

#: Where the choice of a top channel is closer than this, float32 and float64 may choose
#: differently, and both are right: the loop follows both and keeps the branch nearest to the row
#: that is compared.
NEAR_TIE = 1e-5
MAX_BRANCHES = 64
_EPSILON = 1e-8
#: Of an engine in float32, relative: its tanh is good to this (``models/scan_kernels.py``).
STEP_ACCURACY = 5e-7
NOISE_WALKS = 3


def sigmoid(x: F64) -> F64:
    """Return the logistic function."""
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-x))


def softmax(x: F64) -> F64:
    """Return the softmax over the last axis."""
    raised = np.exp(x - x.max(-1, keepdims=True))
    shares: F64 = raised / raised.sum(-1, keepdims=True)
    return shares


class _Gru:
    """A GRU cell (Cho et al. 2014) with a keep gate; rows of the weights: input, then hidden."""

    def __init__(self, weights: dict[str, F64], name: str) -> None:
        self._gates, self._gates_bias = weights[f"{name}.gates"], weights[f"{name}.gates_bias"]
        self._candidate = weights[f"{name}.candidate"]
        self._candidate_bias = weights[f"{name}.candidate_bias"]

    @property
    def width(self) -> int:
        """Width of the hidden vector."""
        return len(self._candidate_bias)

    def step(self, x: F64, hidden: F64) -> F64:
        """Return the next hidden vector."""
        both = sigmoid(np.concatenate((x, hidden)) @ self._gates + self._gates_bias)
        reset, keep = both[: self.width], both[self.width :]
        fresh = np.concatenate((x, reset * hidden)) @ self._candidate + self._candidate_bias
        return keep * hidden + (1.0 - keep) * np.tanh(fresh)


class MemoryReference(ABC):
    """Computes rows of one memory model.

    Args:
        config: ``memory_config`` of the manifest.
        tensors: Of the bundle.
    """

    def __init__(self, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> None:
        self.config = config
        self.weights = {
            name.removeprefix("memory."): tensor.astype(np.float64)
            for name, tensor in tensors.items()
            if name.startswith("memory.")
        }
        self._item_table = tensors["item_table.weight"].astype(np.float64)
        self._category_table = tensors["category_table.weight"].astype(np.float64)
        self._items = {int(x): i for i, x in enumerate(tensors["vocabulary.items"], 1)}
        self._categories = {int(x): i for i, x in enumerate(tensors["vocabulary.categories"], 1)}
        self._own_category = tensors["vocabulary.item_categories"]

    def event(self, item: int, category: int) -> F64:
        """Return the vector of an event; an item sent without category has the one it is known by.

        Unknown ids have row 0.
        """
        row = self._items.get(item, 0)
        if category == 0 and row > 0:
            category = int(self._own_category[row - 1])
        own = self._category_table[self._categories.get(category, 0)]
        return np.concatenate((self._item_table[row], own))

    def row_of(self, events: Events, near: F64, start: F64 | None = None) -> F64:
        """Walk a user's events and return the memory row.

        Args:
            events: Item and category bits, in order.
            near: The row to compare with: decides between equally right choices.
            start: Row to begin with, None: that of a user without events.
        """
        return self._walked(events, near, start, lambda part: part)

    def noise_of(self, events: Events, near: F64, start: F64 | None = None) -> F64:
        """Return how much each value changes when each step is as inexact as an engine's.

        Most rows forget it. A few do not: what is written hangs on the angles between short
        vectors, and an error of the seventh digit grows with the events.

        Args:
            events: As ``row_of`` takes them, like the rest.
            near: The row to compare with.
            start: Row to begin with.
        """
        rng = np.random.default_rng(0)

        def inexact(x: F64) -> F64:
            return x * (1.0 + STEP_ACCURACY * rng.uniform(-1.0, 1.0, x.shape))

        right = self.row_of(events, near, start)
        rows = [self._walked(events, near, start, inexact) for _ in range(NOISE_WALKS)]
        changes: F64 = np.abs(np.stack(rows) - right).max(0)
        return changes

    @abstractmethod
    def _walked(self, events: Events, near: F64, start: F64 | None, kept: Kept) -> F64:
        """Return the row; ``kept`` says what is kept of its parts from one event to the next."""


class MimnReference(MemoryReference):
    """A row: slots [m, D], controller [H], read [D], channels [m, C], mean use [m], events."""

    def __init__(self, config: dict[str, Any], tensors: dict[str, NDArray[Any]]) -> None:
        super().__init__(config, tensors)
        self._controller = _Gru(self.weights, "controller")
        self._channel = _Gru(self.weights, "channels")

    def _walked(self, events: Events, near: F64, start: F64 | None, kept: Kept) -> F64:
        m, d = self.weights["initial_memory"].shape
        widths = (m * d, self._controller.width, d, m * self._channel.width, m, 1)
        begun = np.zeros(sum(widths)) if start is None else start
        slots, hidden, read, channels, use, count = np.split(begun, np.cumsum(widths)[:-1])
        memory = self.weights["initial_memory"] if start is None else slots.reshape(m, d)
        g = use * count
        branches = [channels.reshape(m, -1)]
        for item, category in events:
            x = self.event(item, category)
            hidden = kept(self._controller.step(np.concatenate((x, read)), hidden))
            head = hidden @ self.weights["heads"] + self.weights["heads_bias"]
            erase, add = sigmoid(head[2 * d : 3 * d]), np.tanh(head[3 * d :])
            w_read = softmax(_cosines(head[:d], memory))
            w_write = softmax(_cosines(head[d : 2 * d], memory))
            read = kept(w_read @ memory)
            final = self._rebalanced(w_write, g / max(1.0, float(g.sum())))
            memory = kept(memory * (1.0 - np.outer(final, erase)) + np.outer(final, add))
            g = kept(g + final)
            chosen = _top_choices(w_read, self.config["n_top_channels"])
            branches = [kept(self._moved(s, c, x, memory)) for s in branches for c in chosen]
            branches = branches[:MAX_BRANCHES]
        n = float(count[0]) + len(events)
        tail = [*(g / max(1.0, n)), n]
        rows = [
            np.concatenate((memory.ravel(), hidden, read, channels.ravel(), tail))
            for channels in branches
        ]
        if rows[0].shape != near.shape:
            return rows[0]
        return min(rows, key=lambda row: float(np.abs(row - near).max()))

    def _rebalanced(self, write: F64, use: F64) -> F64:
        """Return the write weights rebalanced by the slots' use (eq 6-7)."""
        form = self.config["utilisation"]
        if form == "off":
            return write
        if form == "transfer_matrix":
            return np.asarray(write @ softmax(self.weights["transfer"] @ use))
        scaled = write * softmax(self.weights["transfer"][:, 0] @ use)
        return scaled if form == "elementwise" else scaled / scaled.sum()

    def _moved(self, channels: F64, choice: Sequence[int], x: F64, memory: F64) -> F64:
        moved = channels.copy()
        for slot in choice:
            moved[slot] = self._channel.step(np.concatenate((x, memory[slot])), channels[slot])
        return moved


class HpmnReference(MemoryReference):
    """A row: slots [k, H], events modulo the longest period, events."""

    def _walked(self, events: Events, near: F64, start: F64 | None, kept: Kept) -> F64:
        del near  # There is nothing to choose.
        periods = self.config["periods"]
        cells = [_Gru(self.weights, f"cells.{j}") for j in range(len(periods))]
        begun = np.zeros(len(cells) * cells[0].width + 2) if start is None else start
        slots = list(begun[:-2].reshape(len(cells), -1))
        phase, count = int(begun[-2]), float(begun[-1])
        for number, (item, category) in enumerate(events, start=phase + 1):
            below = self.event(item, category)
            for j, period in enumerate(periods):
                if number % period == 0:
                    slots[j] = kept(cells[j].step(below, slots[j]))
                below = slots[j]
        n = len(events)
        return np.concatenate((*slots, [float((phase + n) % periods[-1]), count + n]))


def memory_reference(bundle: Path) -> MemoryReference | None:
    """Return the memory of a bundle, None when it has none.

    Raises:
        BundleError: There is no bundle, or it is damaged.
    """
    manifest, tensors = read_files(bundle)
    kinds = {"mimn": MimnReference, "hpmn": HpmnReference}
    name = manifest.config.get("memory")
    if name is None:
        return None
    return kinds[name](manifest.config["memory_config"], tensors)


def memory_fingerprint(bundle: Path) -> int:
    """Return the fingerprint under which the memories of a bundle are stored, 0 without one.

    Raises:
        BundleError: There is no bundle, or it is damaged.
    """
    return int(read_manifest(bundle).memory_fingerprint or "0", 16)


def _cosines(key: F64, slots: F64) -> F64:
    lengths = np.linalg.norm(key) * np.linalg.norm(slots, axis=1)
    return np.asarray(slots @ key / (lengths + _EPSILON))


def _top_choices(weights: F64, n_top: int) -> list[tuple[int, ...]]:
    """Return the slots with the largest weights; near ties of the last place give more choices."""
    order = sorted(range(len(weights)), key=lambda slot: (-weights[slot], slot))
    chosen = tuple(order[:n_top])
    if not 0 < n_top < len(weights):
        return [chosen]
    last = weights[order[n_top - 1]]
    rivals = [slot for slot in order[n_top:] if last - weights[slot] < NEAR_TIE]
    return [chosen, *((*chosen[:-1], rival) for rival in rivals)]
