"""Training that fits streaming: a user's history is walked once, requests are met on the way.

A request reads the state before its impression: behaviors, and a memory that the scan that serves
has built. For a memory each part of an epoch scans the histories of its users once, as the worker
does, and keeps the memory at the start of every walk; the walk's events are then walked with
gradients, once for all its requests, and each reads the memory at its own position. The target is
never in it. A gradient reaches back to the start of the walk, ``window`` to ``2 * window`` events;
the memories there come from weights that are a part of an epoch old. Walks are aligned at their
start: what lies beyond a request's last event is padding that it does not read. A recurrent reader
walks its behaviors in the same way.

Walks train in random order. Walking users from their first event to their last instead made
consecutive steps see the same users, and the model learnt the users.

Some requests are trained as if their memory could not be read, so that ranking without it stays
sensible, and some items and users as if they were unknown, half of the items with their category,
so that the unknown rows mean something.
"""

import copy
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from interest_center.core.errors import ConfigurationError
from interest_center.core.protocols import MemoryUpdater
from models.averaging import MovingAverage, settle, table_names
from models.ctr_config import CtrConfig
from models.ctr_model import CtrModel
from models.embedding_rows import Hiding
from models.processes import in_parallel, n_processes, own_rank, own_share, told_by_leader
from models.request_batches import RequestTensors
from models.row_counts import row_counts
from models.row_optimiser import RowDecay
from models.sample_weights import sample_weights
from models.samples import Ints, PointInTime
from models.tables import TRAIN, VALIDATION
from models.training_memory import MemoryWalker, updater_of
from models.training_options import Position, Progress, TrainingOptions
from models.training_order import Grouping, Padding, epoch_parts
from models.training_step import Batch, LossModule, Renumbering, Shares, TablesInTraining
from models.validation import figures_of, refuse_unusable
from models.vocabulary import Vocabulary
from models.walks import MemoryWalk

_SETTLING_BATCHES = 40
_LARGEST_GRADIENT = 5.0


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


class Trainer:
    """One training run.

    Args:
        data: Histories and requests.
        vocabulary: Ids of the tables.
        config: Parts and sizes of the model.
        options: How to train.
        device: Where; memories are always scanned by the processor.
    """

    def __init__(
        self,
        data: PointInTime,
        vocabulary: Vocabulary,
        config: CtrConfig,
        options: TrainingOptions,
        device: str = "cpu",
    ) -> None:
        self.data = data
        self.vocabulary = vocabulary
        self.options = options
        self.device = torch.device(device)
        self.tensors = RequestTensors(data, vocabulary, config)
        self._walker = MemoryWalker(self.tensors, options.window)
        torch.manual_seed(options.seed)
        self.model = CtrModel(config, vocabulary.table_rows).to(self.device)
        self.averaged = copy.deepcopy(self.model)
        self._average = MovingAverage(self.averaged, self.model)
        self.position = Position()
        self.best: dict[str, Tensor] = {}
        self._recent: deque[tuple[Ints, Any]] = deque(maxlen=_SETTLING_BATCHES)
        self.train_requests = np.flatnonzero(data.requests.splits == TRAIN)
        self._weights = torch.from_numpy(sample_weights(data, self.train_requests, options))
        self.tables = self._tables(config)
        dense = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimiser = torch.optim.AdamW(
            dense, lr=options.learning_rate, weight_decay=0.0, fused=True
        )
        loss = LossModule(self.model, options.memory_penalty)
        # The tables are the same everywhere and stay so: all apply the gathered gradients.
        tables = [f"model.{name}" for name in table_names(self.model)]
        self._loss: nn.Module = in_parallel(loss, tables)
        validation = np.flatnonzero(data.requests.splits == VALIDATION)
        some = np.random.default_rng(0).permutation(validation)[: options.validation_requests]
        self.validation_requests = np.sort(some)

    def _tables(self, config: CtrConfig) -> Renumbering:
        options = self.options
        counts = row_counts(self.tensors, self.train_requests, config, options.unknown_share)

        def kind(name: str, decay: float) -> TablesInTraining:
            own = torch.from_numpy(counts[name]).to(self.device, torch.float32)
            pairs = [
                (self.model.get_submodule(table), self.averaged.get_submodule(table))
                for table in self.model.id_tables[name]
            ]
            rows = RowDecay(decay, options.row_regulariser, own)
            return TablesInTraining(pairs, rows, options)  # type: ignore[arg-type]

        users = kind("users", options.user_decay) if config.knows_users else None
        items, categories = (kind(name, options.row_decay) for name in ("items", "categories"))
        return Renumbering(items, categories, users)

    def train(self, progress: Progress | None = None) -> Trained:
        """Train until validation no longer improves; keep the best epoch.

        Raises:
            ConfigurationError: The first epoch is of no use, see ``refuse_unusable``; a later one
                ends the training.
        """
        progress = progress or Progress()
        at = self.position
        while not self._is_over():
            self._epoch(progress)
            figures = {
                "train_log_loss": at.losses[0] / max(at.losses[1], 1),
                **self.validate(progress.on_validated),
            }
            progress.on_epoch(at.epoch, figures)
            try:
                refuse_unusable(figures, at.epoch, self.options)
            except ConfigurationError:
                if not self.best:
                    raise
                break  # The epochs before it stand.
            at.epochs.append(figures)
            if not self.best or figures["auc"] > at.epochs[at.best]["auc"]:
                at.best = at.epoch
                self.best = {name: t.clone() for name, t in self.averaged.state_dict().items()}
            at.epoch, at.part, at.losses = at.epoch + 1, 0, (0.0, 0)
            progress.on_part()
        self.averaged.load_state_dict(self.best)
        self.averaged.eval()
        return Trained(
            self.averaged, updater_of(self.averaged, self.vocabulary), at.epochs, at.best
        )

    def _is_over(self) -> bool:
        at, options = self.position, self.options
        waited = len(at.epochs) - 1 - at.best
        return at.epoch >= options.epochs or (bool(at.epochs) and waited >= options.patience)

    def validate(self, on_requests: Callable[[int], None] | None = None) -> dict[str, Any]:
        """Return the figures of the averaged weights on the validation requests.

        Memories come from the scan that serves. Of several processes the leader scores, so that
        all go on or stop together.

        Args:
            on_requests: Told how many requests were scored.
        """
        for optimiser in self.tables.optimisers:
            optimiser.catch_up(self.position.step)
        settle(self.averaged, self.tensors, self._recent)
        requests = self.validation_requests
        return told_by_leader(
            lambda: figures_of(self.averaged, self.tensors, requests, on_requests)
        )

    def _epoch(self, progress: Progress) -> None:
        """Train the parts of the epoch that are left."""
        at, options = self.position, self.options
        self._loss.train()
        for group in self.optimiser.param_groups:
            group["lr"] = options.learning_rate * options.decay**at.epoch
        rng = np.random.default_rng((options.seed, at.epoch))
        parts = epoch_parts(self.train_requests, self._grouping(), options.part_size, rng)
        for part in parts[at.part :]:
            if at.part:
                progress.on_part()
            self._recent.clear()
            for loss, n_samples, n_requests in self._part(part, progress):
                at.losses = (at.losses[0] + loss * n_samples, at.losses[1] + n_samples)
                progress.on_step(at.step, loss)
                progress.on_requests(n_requests)
            at.part += 1

    def _grouping(self) -> Grouping | Padding:
        """Return which training requests share a walk, their lengths when nothing is walked."""
        config, requests = self.model.config, self.data.requests
        mine = self.train_requests
        if config.memory is not None:
            return Grouping(requests.users[mine], self._walker.starts(mine))
        positions = requests.ring_positions[mine]
        starts = config.window_starts(positions)
        if config.restart_every:
            return Grouping(requests.users[mine], starts)
        return Padding(positions - starts, self.options.requests_at_once * n_processes())

    def _part(self, part: Ints, progress: Progress) -> Iterator[tuple[float, int, int]]:
        """Train requests in this order.

        Yields:
            Click loss and samples of this process's step, requests of all processes' steps.
        """
        rows = place = None
        if self.model.memory is not None:
            updater = updater_of(self.model, self.vocabulary)
            assert updater is not None
            rows, place = self._walker.scan(part, updater, progress)
        size = self.options.requests_at_once * n_processes()
        for first in range(0, len(part), size):
            batch = part[first : first + size]
            mine = own_share(np.arange(len(batch)))
            shares = self._shares(batch, mine)
            idle = not len(mine)
            if idle:
                # More processes than requests: this one takes its step with what counts nothing.
                mine = np.zeros(1, np.int64)
            memory = None
            if rows is not None and place is not None:
                hiding = self._hiding(1)
                memory = self._walker.walk(batch[mine], rows, place[first + mine], hiding)
            loss, n_samples = self._step(batch[mine], memory, shares)
            yield loss, 0 if idle else n_samples, len(batch)

    def _shares(self, batch: Ints, mine: Ints) -> Shares:
        """Return what this process's part of a batch counts for."""
        starts = self.data.requests.starts
        n_candidates = starts[batch + 1] - starts[batch]
        of_candidates = n_processes() * int(n_candidates[mine].sum()) / int(n_candidates.sum())
        return Shares(of_candidates, n_processes() * len(mine) / len(batch))

    def _hiding(self, purpose: int) -> Hiding:
        """Return what to hide in this step; another purpose draws otherwise."""
        seed = (self.options.seed, self.position.step, own_rank(), purpose)
        return Hiding(self.options.unknown_share, np.random.default_rng(seed))

    def _step(self, chosen: Ints, memory: MemoryWalk | None, shares: Shares) -> tuple[float, int]:
        """Move the weights once; return click loss and samples."""
        at = self.position
        hiding = self._hiding(0)
        requests, labels = self.tensors.batch(chosen, hiding, walks=True)
        if self.model.reader.wants_negatives:
            requests = self.tensors.with_negatives(requests, hiding)
        if self.model.reader.wants_clicks:
            clicked = requests.candidate_mask.masked_scatter(requests.candidate_mask, labels > 0)
            requests = requests._replace(clicked=clicked)
        kept = torch.from_numpy(hiding.rng.random(len(chosen)) >= self.options.memory_dropout)
        weights = self._weights[chosen].repeat_interleave(requests.candidate_mask.sum(1))
        batch = Batch(requests, labels, weights, memory, kept, shares)
        batch = self.tables.open(batch).to(self.device)
        torch.manual_seed(int(hiding.rng.integers(1 << 62)))
        losses = self._loss(batch)
        self.optimiser.zero_grad(set_to_none=True)
        losses.total.backward()
        for kind in self.tables.kinds:
            kind.gather()
        self._clip()
        self.optimiser.step()
        at.step += 1
        rate = self.optimiser.param_groups[0]["lr"]
        for kind in self.tables.kinds:
            kind.close(rate, at.step)
        share = max(1.0 / self.options.average_over, 1.0 / at.step)
        self._average.move(share)
        self._recent.append((chosen, losses.state))
        return float(losses.click), len(labels)

    def _clip(self) -> None:
        """Scale all gradients, those of all processes, down together where they are large."""
        gradients = [p.grad for p in self.optimiser.param_groups[0]["params"] if p.grad is not None]
        gradients += [gradient for kind in self.tables.kinds for gradient in kind.gradients]
        norm = torch.nn.utils.get_total_norm(gradients)
        scale = (_LARGEST_GRADIENT / (norm + 1e-6)).clamp_max(1.0)
        torch._foreach_mul_(gradients, scale)
