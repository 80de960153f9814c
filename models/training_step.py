"""One step of the optimiser: a batch's rows out of the tables, loss, gradients, rows back.

Run by several processes (``torchrun``), each takes its share of a batch; dense gradients are
averaged by ``DistributedDataParallel``, those of rows by gathering rows and gradients of all.
"""

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch import distributed as dist

from models.ctr_model import CtrModel
from models.id_table import IdTable, RowWindow
from models.request_rows import BehaviorRows, RequestBatch
from models.row_optimiser import RowAdam, RowDecay
from models.training_options import TrainingOptions
from models.walks import MemoryWalk, walk_memory


class Batch(NamedTuple):
    """What a step is made of."""

    requests: RequestBatch
    labels: Tensor  # [n_candidates]
    weights: Tensor  # [n_candidates] what each sample counts
    memory: MemoryWalk | None  # None without a memory
    kept: Tensor  # [s] bool: whether the request may read its memory

    def to(self, device: torch.device) -> Self:
        """Return the batch on a device."""
        memory = None if self.memory is None else self.memory.to(device)
        return type(self)(
            self.requests.to(device),
            self.labels.to(device),
            self.weights.to(device),
            memory,
            self.kept.to(device),
        )


class Losses(NamedTuple):
    """What a step minimises, and what it tells."""

    total: Tensor
    click: Tensor  # binary cross entropy of the clicks
    state: Any  # memory state that each request read, detached; None without a memory


class LossModule(nn.Module):
    """The model with its losses: what ``DistributedDataParallel`` wraps.

    Args:
        model: The model.
        memory_penalty: Weight of the memory's own regulariser; None: the memory's default.
    """

    def __init__(self, model: CtrModel, memory_penalty: float | None) -> None:
        super().__init__()
        self.model = model
        self._memory_penalty = memory_penalty

    def forward(self, batch: Batch) -> Losses:
        """Return the losses of a batch."""
        model, state, present = self.model, None, None
        if batch.memory is not None:
            walk = batch.memory
            state = walk_memory(model.memory, walk, model.embed(walk.items, walk.categories))
            present = batch.kept & (state.n_events > 0)
        scored = model(batch.requests, state, present)
        click = nn.functional.binary_cross_entropy_with_logits(
            scored.logits, batch.labels, batch.weights
        )
        total = click if scored.loss is None else click + scored.loss
        if state is not None:
            rate = self._memory_penalty
            if rate is None:
                rate = model.memory.default_penalty
            total = total + model.memory.regulariser(state, rate)
            state = type(state)(*(column.detach() for column in state))
        return Losses(total, click.detach(), state)


class TablesInTraining:
    """The tables of one kind of id, their window of rows and their optimisers.

    Args:
        tables: Each table and the one that its average is kept in; equally many rows.
        decay: How their rows are held down.
        options: How to train.
    """

    def __init__(
        self,
        tables: list[tuple[IdTable, IdTable]],
        decay: RowDecay,
        options: TrainingOptions,
    ) -> None:
        self._tables = [table for table, _ in tables]
        self.optimisers = []
        for table, average in tables:
            table.weight.requires_grad_(False)
            average.weight.requires_grad_(False)
            weights = (table.weight, average.weight)
            self.optimisers.append(RowAdam(*weights, decay, options.average_over))
        self._window = RowWindow(len(self._tables[0].weight))
        self._rows = torch.zeros(0, dtype=torch.int64)

    def open(self, columns: list[Tensor]) -> list[Tensor]:
        """Take the rows that a batch names out of the tables; return the columns renumbered."""
        rows, renumbered = self._window.renumber(columns)
        self._rows = torch.from_numpy(rows).to(self._tables[0].weight.device)
        for table in self._tables:
            table.active = table.weight[self._rows].requires_grad_()
        return renumbered

    @property
    def gradients(self) -> list[Tensor]:
        """Gradient of the rows taken out of each table, ``[n, dim]``."""
        found = []
        for table in self._tables:
            assert table.active is not None
            if table.active.grad is None:
                table.active.grad = torch.zeros_like(table.active)
            found.append(table.active.grad)
        return found

    def close(self, learning_rate: float, step: int) -> None:
        """Move the rows."""
        gradients = self.gradients
        for table, optimiser, gradient in zip(
            self._tables, self.optimisers, gradients, strict=True
        ):
            table.active = None
            rows, own = self._rows, gradient
            if dist.is_initialized():
                rows, own = _gathered(rows, own)
            optimiser.step(rows, own, learning_rate, step)


def _gathered(rows: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of all processes and the mean of their gradients."""
    world = dist.get_world_size()
    n = torch.tensor([len(rows)], device=rows.device)
    sizes = [torch.zeros_like(n) for _ in range(world)]
    dist.all_gather(sizes, n)
    longest = int(torch.cat(sizes).max())
    all_rows = [rows.new_zeros(longest) for _ in range(world)]
    all_gradients = [gradient.new_zeros(longest, gradient.shape[1]) for _ in range(world)]
    dist.all_gather(all_rows, nn.functional.pad(rows, (0, longest - len(rows))))
    padded = nn.functional.pad(gradient, (0, 0, 0, longest - len(rows)))
    dist.all_gather(all_gradients, padded)
    # Padding is the unknown row with a gradient of zero, which every process has anyway.
    distinct, place = torch.unique(torch.cat(all_rows), return_inverse=True)
    total = gradient.new_zeros(len(distinct), gradient.shape[1])
    return distinct, total.index_add_(0, place, torch.cat(all_gradients)) / world


class Renumbering:
    """The tables of a model in training, and how a batch names their rows.

    Args:
        items: Tables of items.
        categories: Tables of categories.
        users: Tables of users, None when users are not told apart.
    """

    def __init__(
        self, items: TablesInTraining, categories: TablesInTraining, users: TablesInTraining | None
    ) -> None:
        self.items, self.categories, self.users = items, categories, users

    @property
    def kinds(self) -> list[TablesInTraining]:
        """The tables of each kind of id."""
        own = [self.items, self.categories]
        return own if self.users is None else [*own, self.users]

    @property
    def optimisers(self) -> list[RowAdam]:
        """The optimisers of all tables."""
        return [optimiser for kind in self.kinds for optimiser in kind.optimisers]

    def open(self, batch: Batch) -> Batch:
        """Take the rows of a batch out of all tables; return the batch renumbered."""
        requests, memory = batch.requests, batch.memory
        for table, name in ((self.items, "items"), (self.categories, "categories")):
            singular = "triggers" if name == "items" else "trigger_categories"
            single = [f"candidate_{name}", singular, f"negative_{name}"]
            single = [field for field in single if getattr(requests, field) is not None]
            nested = [
                field
                for field in ("behaviors", "trigger_behaviors", "walk", "found")
                if getattr(requests, field) is not None
            ]
            columns = [getattr(requests, field) for field in single]
            columns += [getattr(getattr(requests, field), name) for field in nested]
            if memory is not None:
                columns.append(getattr(memory, name))
            found = iter(table.open(columns))
            changes: dict[str, Any] = {field: next(found) for field in single}
            for field in nested:
                rows: BehaviorRows = getattr(requests, field)
                changes[field] = rows._replace(**{name: next(found)})
            requests = requests._replace(**changes)
            if memory is not None:
                memory = memory._replace(**{name: next(found)})
        if self.users is not None:
            requests = requests._replace(users=self.users.open([requests.users])[0])
        return batch._replace(requests=requests, memory=memory)
