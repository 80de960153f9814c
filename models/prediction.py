"""Offline scores of requests, computed as the running system computes them.

Memories come from the scan that the worker runs, scores from the model that the ranker runs.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from interest_center.core.protocols import MemoryUpdater
from models.ctr_model import CtrModel
from models.memory_states import memories_at
from models.request_batches import RequestTensors
from models.samples import Ints

_REQUESTS_AT_ONCE = 256


def predict(
    model: CtrModel,
    tensors: RequestTensors,
    chosen: Ints,
    updater: MemoryUpdater | None,
    on_requests: Callable[[int], None] | None = None,
) -> tuple[Ints, NDArray[np.float64]]:
    """Score the candidates of requests.

    Args:
        model: In evaluation form afterwards.
        tensors: The requests.
        chosen: Which of them.
        updater: Keeps the memories that the model reads; None ranks without memory.
        on_requests: Told how many requests were scored.

    Returns:
        Index among all candidates, and probability, one each a candidate.
    """
    model.eval()
    device = next(model.parameters()).device
    indices, probabilities = [], []
    with torch.inference_mode():
        for some, rows in _with_memories(model, tensors, chosen, updater):
            batch = tensors.batch(some)[0].to(device)
            state = present = None
            if model.memory is not None:
                if rows is None:
                    state = model.memory.initial_state(len(some))
                    present = torch.zeros(len(some), dtype=torch.bool, device=device)
                else:
                    state = model.memory.state_of(torch.from_numpy(rows).to(device))
                    present = state.n_events > 0
            logits = model(batch, state, present).logits
            indices.append(tensors.sample_indices(some))
            probabilities.append(torch.sigmoid(logits.double()).cpu().numpy())
            if on_requests is not None:
                on_requests(len(some))
    if not indices:
        return np.zeros(0, np.int64), np.zeros(0)
    return np.concatenate(indices), np.concatenate(probabilities)


def trigger_probabilities(
    model: CtrModel, tensors: RequestTensors, chosen: Ints
) -> NDArray[np.float64] | None:
    """Return how far users follow the trigger, 0 without one; None if the reader does not say.

    Args:
        model: In evaluation form afterwards.
        tensors: The requests.
        chosen: Which of them.
    """
    model.eval()
    device = next(model.parameters()).device
    found = np.zeros(len(chosen))
    with torch.inference_mode():
        for first in range(0, len(chosen), _REQUESTS_AT_ONCE):
            some = slice(first, first + _REQUESTS_AT_ONCE)
            batch = tensors.batch(chosen[some])[0].to(device)
            probabilities = model.reader.trigger_probability(model.see(batch))
            if probabilities is None:
                return None
            found[some] = probabilities.double().cpu().numpy()
    return found


def _with_memories(
    model: CtrModel, tensors: RequestTensors, chosen: Ints, updater: MemoryUpdater | None
) -> Iterator[tuple[Ints, NDArray[np.float32] | None]]:
    """Yield requests of like history length, with their memory rows."""
    requests, config = tensors.data.requests, model.config

    def by_length(some: Ints) -> Ints:
        positions = requests.ring_positions[some]
        return np.argsort(positions - config.window_starts(positions), kind="stable")

    if model.memory is None or updater is None:
        ordered = chosen[by_length(chosen)]
        for first in range(0, len(ordered), _REQUESTS_AT_ONCE):
            yield ordered[first : first + _REQUESTS_AT_ONCE], None
        return
    users, positions = requests.users[chosen], requests.memory_positions[chosen]
    for some_at, rows in memories_at(tensors.data.memory, users, positions, updater):
        part = chosen[some_at]
        order = by_length(part)
        for first in range(0, len(order), _REQUESTS_AT_ONCE):
            some = order[first : first + _REQUESTS_AT_ONCE]
            yield part[some], rows[some]
