"""Training that fits streaming: a user's history is walked once, requests are met on the way.

The scan that serves walks every history once an epoch and leaves, for each request, the memory as
it stood a window of events before it. Requests then train in random order: each walks its window
with gradients (backpropagation truncated to the window, memories from weights a part of an epoch
old) and reads the memory at its own position; the target is never in it. Windows are aligned at
their start, so what lies beyond a request's last event is padding that it does not read. Walking
groups of users from their first event to their last instead made consecutive steps see the same
users, and the model learnt the users.
Some requests are trained as if their memory could not be read, so that ranking without it stays
sensible, and some items as if they were unknown, half of them with their category, so that the
unknown rows mean something.

Instead of the mini-batch aware regulariser of the DIN paper, which shrinks the rows of a batch by
how rare their ids are, all rows of the embedding tables decay at every step (decoupled, AdamW).
"""

import copy
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interest_center.core.protocols import MemoryUpdater
from models.ctr_metrics import metrics_of
from models.ctr_model import CtrConfig, CtrModel, weights_of
from models.layers import Dice
from models.memory_states import memories_at
from models.prediction import predict
from models.registry import load_class, memory_model
from models.request_batches import RequestTensors, Rows, embedding_rows, hide
from models.samples import Ints, PointInTime
from models.tables import TRAIN, VALIDATION
from models.training_options import Progress, TrainingOptions
from models.vocabulary import Vocabulary

_ROWS_AT_ONCE = 65_536
_SETTLING_BATCHES = 40


@dataclass
class Trained:
    """A trained model and how it got there.

    Attributes:
        model: With the weights of the best epoch.
        updater: Keeps its memories, None without a memory.
        epochs: Figures of each epoch.
        best: Index of the epoch kept.
    """

    model: CtrModel
    updater: MemoryUpdater | None
    epochs: list[dict[str, float]] = field(default_factory=list)
    best: int = 0


def updater_of(model: CtrModel, vocabulary: Vocabulary) -> MemoryUpdater | None:
    """Return the scan with the weights of a model in training."""
    if model.config.memory is None:
        return None
    found = memory_model(model.config.memory)
    sizes = load_class(found.config).from_dict(model.config.memory_config)
    updater: MemoryUpdater = load_class(found.updater)(sizes, vocabulary, weights_of(model))
    return updater


class Trainer:
    """One training run.

    Args:
        data: Histories and requests.
        vocabulary: Ids of the tables.
        config: Parts and sizes of the model.
        options: How to train.
    """

    def __init__(
        self,
        data: PointInTime,
        vocabulary: Vocabulary,
        config: CtrConfig,
        options: TrainingOptions,
    ) -> None:
        self.data = data
        self.vocabulary = vocabulary
        self.options = options
        self.tensors = RequestTensors(data, vocabulary, config)
        self.rng = np.random.default_rng(options.seed)
        torch.manual_seed(options.seed)
        self.model = CtrModel(config, vocabulary.n_item_rows, vocabulary.n_category_rows)
        # Validation and bundle take the average of the latest weights: it generalises better.
        self.averaged = copy.deepcopy(self.model)
        self._n_steps = 0
        self._recent: deque[tuple[Ints, Any]] = deque(maxlen=_SETTLING_BATCHES)
        tables = [self.model.item_table.weight, self.model.category_table.weight]
        others = [p for p in self.model.parameters() if all(p is not table for table in tables)]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": tables, "weight_decay": options.embedding_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=options.learning_rate,
        )
        requests = data.requests
        self.train_requests = np.flatnonzero(requests.splits == TRAIN)
        validation = np.flatnonzero(requests.splits == VALIDATION)
        some = np.random.default_rng(0).permutation(validation)[: options.validation_requests]
        self.validation_requests = np.sort(some)
        self._memory_rows = embedding_rows(vocabulary, data.memory.items, data.memory.categories)

    def train(self, progress: Progress | None = None) -> Trained:
        """Train until validation no longer improves; keep the best epoch."""
        progress = progress or Progress()
        trained = Trained(self.model, None)
        best: dict[str, Tensor] = {}
        for epoch in range(self.options.epochs):
            for group in self.optimiser.param_groups:
                group["lr"] = self.options.learning_rate * self.options.decay**epoch
            figures = {
                "train_log_loss": self._epoch(progress),
                **self.validate(progress.on_validated),
            }
            trained.epochs.append(figures)
            progress.on_epoch(epoch, figures)
            if not best or figures["auc"] > trained.epochs[trained.best]["auc"]:
                trained.best = epoch
                best = {name: t.clone() for name, t in self.averaged.state_dict().items()}
            elif epoch - trained.best >= self.options.patience:
                break
        self.model.load_state_dict(best)
        self.model.eval()
        trained.updater = updater_of(self.model, self.vocabulary)
        return trained

    def validate(self, on_requests: Callable[[int], None] | None = None) -> dict[str, Any]:
        """Return the figures of the averaged weights on the validation requests.

        Memories come from the scan that serves.

        Args:
            on_requests: Told how many requests were scored.
        """
        self._settle()
        updater = updater_of(self.averaged, self.vocabulary)
        index, probabilities = predict(
            self.averaged, self.tensors, self.validation_requests, updater, on_requests
        )
        requests = self.data.requests
        owner = np.repeat(np.arange(len(requests.users)), np.diff(requests.starts))
        return dict(metrics_of(requests.labels[index], probabilities, requests.users[owner[index]]))

    def _epoch(self, progress: Progress) -> float:
        self.model.train()
        has_memory = self.model.memory is not None
        steps = self._memory_steps(progress) if has_memory else self._plain_steps()
        total, count = 0.0, 0
        for loss, n_samples, n_requests in steps:
            total += loss * n_samples
            count += n_samples
            progress.on_requests(n_requests)
        return total / max(count, 1)

    def _plain_steps(self) -> Iterator[tuple[float, int, int]]:
        """Steps of a model without memory: requests in random order."""
        order = self.rng.permutation(self.train_requests)
        size = self.options.requests_at_once
        for first in range(0, len(order), size):
            chosen = order[first : first + size]
            yield self._step(chosen, None, torch.zeros(()))

    def _memory_steps(self, progress: Progress) -> Iterator[tuple[float, int, int]]:
        """Steps of a model with memory: requests in random order, in parts that fit in memory."""
        order = self.rng.permutation(self.train_requests)
        size, window = self.options.requests_at_once, self.options.window
        for first in range(0, len(order), _ROWS_AT_ONCE):
            part = order[first : first + _ROWS_AT_ONCE]
            updater = updater_of(self.model, self.vocabulary)
            assert updater is not None
            rows = np.empty((len(part), updater.row_floats), np.float32)
            place = np.empty(len(self.data.requests.users), np.int64)
            place[part] = np.arange(len(part))
            for some, found in memories_at(self.data, part, updater, before=window):
                rows[place[some]] = found
                progress.on_memories(len(some))
            for k in range(0, len(part), size):
                chosen = part[k : k + size]
                yield self._step(chosen, *self._walk_window(chosen, rows[k : k + size]))

    def _walk_window(self, chosen: Ints, rows: NDArray[np.float32]) -> tuple[Any, Tensor]:
        """Walk each request's last events before it, with gradients; return state and penalty."""
        memory = self.model.memory
        positions = self.data.requests.memory_positions[chosen]
        begins = np.maximum(positions - self.options.window, 0)
        embedded = self.model.embed(*self._events_of(chosen, begins, positions))
        fresh = torch.from_numpy(begins == 0)
        state = memory.fresh_where(fresh, memory.state_of(torch.from_numpy(rows)))
        states = [state]
        for t in range(embedded.shape[1]):
            states.append(memory.step(states[-1], embedded[:, t]))
        at = torch.from_numpy(positions - begins)
        who = torch.arange(len(chosen))
        read = type(state)(*(torch.stack(column)[at, who] for column in zip(*states, strict=True)))
        return read, memory.regulariser(read, self.options.utilisation_rate)

    def _events_of(self, chosen: Ints, begins: Ints, ends: Ints) -> tuple[Tensor, Tensor]:
        """Return item and category rows of events ``begins`` to ``ends``, padded at the end."""
        width = int((ends - begins).max(initial=0))
        first = self.data.memory.starts[self.data.requests.users[chosen]] + begins
        inside = np.arange(width) < (ends - begins)[:, None]
        index = np.where(inside, first[:, None] + np.arange(width), 0)
        if not width:
            empty = torch.zeros(index.shape, dtype=torch.int64)
            return empty, empty
        known = Rows(self._memory_rows.items[index], self._memory_rows.categories[index])
        shown = hide(known, self.options.unknown_share, self.rng)
        items, categories = np.where(inside, shown.items, 0), np.where(inside, shown.categories, 0)
        return torch.from_numpy(items), torch.from_numpy(categories)

    def _step(self, chosen: Ints, state: Any, penalty: Tensor) -> tuple[float, int, int]:
        """Move the weights once; return log loss, samples and requests."""
        batch, labels = self.tensors.batch(chosen, self.options.unknown_share, self.rng)
        present = None
        if state is not None:
            kept = self.rng.random(len(chosen)) >= self.options.memory_dropout
            present = torch.from_numpy(kept) & (state.n_events > 0)
        logits = self.model(batch, state, present)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        self.optimiser.zero_grad(set_to_none=True)
        (loss + penalty).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        self._average()
        detached = None if state is None else type(state)(*(column.detach() for column in state))
        self._recent.append((chosen, detached))
        return float(loss.detach()), len(labels), len(chosen)

    def _average(self) -> None:
        """Move the averaged weights towards the present ones."""
        self._n_steps += 1
        share = max(1.0 / self.options.average_over, 1.0 / self._n_steps)
        with torch.no_grad():
            for average, now in zip(
                self.averaged.state_dict().values(), self.model.state_dict().values(), strict=True
            ):
                average.lerp_(now, share)

    def _settle(self) -> None:
        """Measure the statistics of Dice anew for the averaged weights, nothing left out.

        Those that were averaged along belong to other weights, and to inputs with items and
        memories dropped.
        """
        layers = [layer for layer in self.averaged.modules() if isinstance(layer, Dice)]
        usual = [layer.momentum for layer in layers]
        self.averaged.train()
        with torch.no_grad():
            for k, (chosen, state) in enumerate(self._recent, start=1):
                for layer in layers:
                    layer.momentum = 1.0 / k
                present = None if state is None else state.n_events > 0
                self.averaged(self.tensors.batch(chosen)[0], state, present)
        for layer, momentum in zip(layers, usual, strict=True):
            layer.momentum = momentum
        self.averaged.eval()


def make_vocabulary(data: PointInTime) -> Vocabulary:
    """Collect the ids that training may know: its candidates and what its users did before them."""
    requests = data.requests
    train = requests.splits == TRAIN
    items = [requests.items[np.repeat(train, np.diff(requests.starts))]]
    categories = [requests.categories[np.repeat(train, np.diff(requests.starts))]]
    for history, positions in (
        (data.ring, requests.ring_positions),
        (data.memory, requests.memory_positions),
    ):
        seen = np.zeros(len(history.starts) - 1, np.int64)
        np.maximum.at(seen, requests.users[train], positions[train])
        number = np.arange(len(history.items)) - np.repeat(
            history.starts[:-1], np.diff(history.starts)
        )
        known = number < np.repeat(seen, np.diff(history.starts))
        items.append(history.items[known])
        categories.append(history.categories[known])
    all_items: NDArray[np.uint64] = np.concatenate(items)
    return Vocabulary.from_pairs(all_items, np.concatenate(categories))
