"""One step of the optimiser: a batch's rows out of the tables, loss, gradients, rows back.

Run by several processes (``torchrun``), each takes its share of a batch. Dense gradients are
averaged by ``DistributedDataParallel``, those of rows by gathering rows and gradients of all;
``Shares`` make that average the gradient of the whole batch's click loss. What else is measured
over a batch (the statistics of Dice, the real steps of an auxiliary loss) is measured over a
process's own share.
"""

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from models.ctr_model import CtrModel
from models.id_table import IdTable, RowWindow
from models.processes import mean_of_rows
from models.request_rows import BehaviorRows, RequestBatch
from models.row_optimiser import RowAdam, RowDecay
from models.training_options import TrainingOptions
from models.walks import MemoryWalk, walk_memory


class Shares(NamedTuple):
    """What a mean over one process's part of a batch counts for beside those of the others."""

    candidates: float = 1.0  # its share of the candidates, times the number of processes
    requests: float = 1.0  # its share of the requests, times the number of processes


class Batch(NamedTuple):
    """What a step is made of."""

    requests: RequestBatch
    labels: Tensor  # [n_candidates]
    weights: Tensor  # [n_candidates] what each sample counts
    memory: MemoryWalk | None  # None without a memory
    kept: Tensor  # [s] bool: whether the request may read its memory
    shares: Shares

    def to(self, device: torch.device) -> Self:
        """Return the batch on a device."""
        moved = {
            name: column.to(device)
            for name, column in self._asdict().items()
            if column is not None and name != "shares"
        }
        return self._replace(**moved)


class Losses(NamedTuple):
    """What a step minimises, and what it tells."""

    total: Tensor
    click: Tensor  # binary cross entropy of the clicks, each counted alike
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
        of_each = nn.functional.binary_cross_entropy_with_logits(
            scored.logits, batch.labels, reduction="none"
        )
        total = batch.shares.candidates * (batch.weights * of_each).mean()
        if scored.loss is not None:
            total = total + batch.shares.requests * scored.loss
        if state is not None:
            rate = self._memory_penalty
            if rate is None:
                rate = model.memory.default_penalty
            total = total + batch.shares.requests * model.memory.regulariser(state, rate)
            state = type(state)(*(column.detach() for column in state))
        return Losses(total, of_each.detach().mean(), state)


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
        #: Of each table, after ``gather``, ``[n, dim]``.
        self.gradients: list[Tensor] = []

    def open(self, columns: list[Tensor]) -> list[Tensor]:
        """Take the rows that a batch names out of the tables; return the columns renumbered."""
        rows, renumbered = self._window.renumber(columns)
        self._rows = torch.from_numpy(rows).to(self._tables[0].weight.device)
        for table in self._tables:
            table.active = table.weight[self._rows].requires_grad_()
        return renumbered

    def gather(self) -> None:
        """Let go of the rows and keep their ``gradients``: those of all processes."""
        mine, self.gradients = self._rows, []
        for table in self._tables:
            active = table.active
            assert active is not None
            table.active = None
            own = torch.zeros_like(active) if active.grad is None else active.grad
            self._rows, gradient = mean_of_rows(mine, own)
            self.gradients.append(gradient)

    def close(self, learning_rate: float, step: int) -> None:
        """Move the rows."""
        for optimiser, gradient in zip(self.optimisers, self.gradients, strict=True):
            # Not every table of a kind is asked for every row that the batch names.
            asked = gradient.any(1)
            optimiser.step(self._rows[asked], gradient[asked], learning_rate, step)


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
