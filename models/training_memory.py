"""Memories in training: scanned to the start of every walk, then walked with gradients."""

import numpy as np
import torch
from numpy.typing import NDArray

from interest_center.core.protocols import MemoryUpdater
from models.ctr_model import CtrModel, weights_of
from models.embedding_rows import Hiding
from models.memory_states import memories_at
from models.registry import load_class, memory_model
from models.request_batches import RequestTensors
from models.samples import Ints
from models.training_options import Progress
from models.vocabulary import Vocabulary
from models.walks import MemoryWalk, Walks


class MemoryWalker:
    """The memory walks of training requests.

    Args:
        tensors: The requests.
        window: Events between two places where walks may start; a walk is at most twice as long.
    """

    def __init__(self, tensors: RequestTensors, window: int) -> None:
        self._tensors = tensors
        self._data = tensors.data
        self._window = window

    def starts(self, chosen: Ints) -> Ints:
        """Return the event that the walk of each request begins with, ``[s]``."""
        starts = np.maximum(self._data.requests.memory_positions[chosen] - self._window, 0)
        return np.asarray(starts - starts % self._window)

    def scan(
        self, part: Ints, updater: MemoryUpdater, progress: Progress
    ) -> tuple[NDArray[np.float32], Ints]:
        """Return the memories at the starts of all walks of a part, and which is each request's."""
        users = self._data.requests.users[part]
        pairs = np.stack((users, self.starts(part)))
        walks, place = np.unique(pairs, axis=1, return_inverse=True)
        place = place.reshape(-1)
        n_requests = np.bincount(place, minlength=walks.shape[1])
        rows = np.empty((walks.shape[1], updater.row_floats), np.float32)
        for some, found in memories_at(self._data.memory, walks[0], walks[1], updater):
            rows[some] = found
            progress.on_memories(int(n_requests[some].sum()))
        return rows, place

    def walk(
        self, chosen: Ints, rows: NDArray[np.float32], place: Ints, hiding: Hiding
    ) -> MemoryWalk:
        """Return the walks of a batch.

        Args:
            chosen: The requests, ``[s]``.
            rows: Memories at the starts of walks.
            place: Which of them each request's walk begins with, ``[s]``.
            hiding: What to present as unknown.
        """
        requests = self._data.requests
        walks = Walks.of(
            requests.users[chosen], self.starts(chosen), requests.memory_positions[chosen]
        )
        row_of_walk = np.empty(len(walks.users), np.int64)
        row_of_walk[walks.group] = place
        items, categories = self._tensors.memory_events(
            *walks.events(self._data.memory.starts), hiding
        )
        return MemoryWalk(
            items,
            categories,
            torch.from_numpy(rows[row_of_walk]),
            torch.from_numpy(walks.starts == 0),
            torch.from_numpy(walks.group),
            torch.from_numpy(walks.seen),
        )


def updater_of(model: CtrModel, vocabulary: Vocabulary) -> MemoryUpdater | None:
    """Return the scan with the weights of a model in training."""
    if model.config.memory is None:
        return None
    found = memory_model(model.config.memory)
    sizes = load_class(found.config).from_dict(model.config.memory_config)
    updater: MemoryUpdater = load_class(found.updater)(sizes, vocabulary, weights_of(model))
    return updater
