"""Embedding tables of ids, of which a training step touches the rows of its batch and no others.

So the cost of a step follows the batch and not the vocabulary: the batch's distinct rows are taken
out of the table, gradients are made for them alone, and the optimiser writes them back.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from interest_center.core.compiled import compiled
from models.layers import is_compiled
from models.vocabulary import UNKNOWN_ROW

Ints = NDArray[np.int64]
F32 = NDArray[np.float32]


class IdTable(nn.Module):
    """One embedding a row; row 0 stands for unknown ids.

    Args:
        n_rows: Rows, the unknown row included.
        dim: Width.
        std: Standard deviation of the first weights.
    """

    def __init__(self, n_rows: int, dim: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_rows, dim))
        nn.init.normal_(self.weight, std=std)
        #: In a training step: the rows of the batch, by which ids are then counted.
        self.active: Tensor | None = None

    def forward(self, rows: Tensor) -> Tensor:
        """Return the embeddings of rows, ``[..., dim]``."""
        weight = self.weight if self.active is None else self.active
        return nn.functional.embedding(rows, weight)


def look_up_both(tables: tuple[IdTable, IdTable], rows: tuple[Tensor, Tensor]) -> Tensor:
    """Return the embeddings of the rows of two tables side by side, ``[..., dim + dim]``.

    Args:
        tables: The tables.
        rows: Of each, of one shape.
    """
    first, second = (table.active for table in tables)
    if first is None or second is None:
        first, second = (table.weight for table in tables)
        if torch.is_grad_enabled():
            return _look_up_in_turn(tables, rows)
    if not is_compiled(first):
        return _look_up_in_turn(tables, rows)
    if not torch.is_grad_enabled():
        return _gathered(first, second, *rows)
    found: Tensor = _Both.apply(first, second, *rows)
    return found


def _look_up_in_turn(tables: tuple[IdTable, IdTable], rows: tuple[Tensor, Tensor]) -> Tensor:
    return torch.cat([table(own) for table, own in zip(tables, rows, strict=True)], -1)


def _gathered(first: Tensor, second: Tensor, rows: Tensor, others: Tensor) -> Tensor:
    """Return the rows of two tables side by side, ``[..., dim + dim]``."""
    out = first.new_empty(*rows.shape, first.shape[1] + second.shape[1])
    flat = [one.reshape(-1).numpy() for one in (rows, others)]
    to = out.view(-1, out.shape[-1]).numpy()
    _gather(first.detach().numpy(), second.detach().numpy(), flat[0], flat[1], to)
    return out


class _Both(torch.autograd.Function):
    """One pass where torch makes three, and five on the way back."""

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, *rows: Tensor) -> Tensor:
        ctx.save_for_backward(*(own.reshape(-1) for own in rows))
        ctx.shapes = (first.shape, second.shape)
        return _gathered(first, second, *rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        found = [gradient.new_zeros(shape) for shape in ctx.shapes]
        flat = gradient.reshape(-1, gradient.shape[-1])
        arrays = [one.numpy() for one in (*found, *ctx.saved_tensors, flat)]
        _scatter(*arrays)
        return *found, None, None


@compiled
def _gather(first: F32, second: F32, rows: Ints, others: Ints, out: F32) -> None:
    """Fill ``out [n, dim + dim]`` with the rows of two tables."""
    width = first.shape[1]
    for k in range(rows.shape[0]):
        one, two, to = first[rows[k]], second[others[k]], out[k]
        for d in range(width):
            to[d] = one[d]
        for d in range(two.shape[0]):
            to[width + d] = two[d]


@compiled
def _scatter(first: F32, second: F32, rows: Ints, others: Ints, gradient: F32) -> None:
    """Add ``gradient [n, dim + dim]`` to the rows of two tables."""
    width = first.shape[1]
    for k in range(rows.shape[0]):
        one, two, g = first[rows[k]], second[others[k]], gradient[k]
        for d in range(width):
            one[d] += g[d]
        for d in range(two.shape[0]):
            two[d] += g[width + d]


class RowWindow:
    """Counts the distinct rows of a batch anew: 0 stays 0, equal rows stay equal.

    Args:
        n_rows: Rows of the table.
    """

    def __init__(self, n_rows: int) -> None:
        self._place = np.full(n_rows, -1, np.int64)

    def renumber(self, columns: list[Tensor]) -> tuple[Ints, list[Tensor]]:
        """Return the distinct rows, the unknown row first, and the columns by their new numbers."""
        flat = np.concatenate([column.numpy().reshape(-1) for column in columns])
        numbers = np.empty(len(flat), np.int64)
        distinct = np.empty(len(flat) + 1, np.int64)
        n = _renumber(flat, self._place, distinct, numbers)
        ends = np.cumsum([column.numel() for column in columns])[:-1]
        parts = np.split(numbers, ends)
        return distinct[:n].copy(), [
            torch.from_numpy(part).view(column.shape)
            for part, column in zip(parts, columns, strict=True)
        ]


@compiled
def _renumber(rows: Ints, place: Ints, distinct: Ints, numbers: Ints) -> int:
    """Fill ``distinct`` and ``numbers``; ``place`` is -1 everywhere before and after."""
    distinct[0] = UNKNOWN_ROW
    place[UNKNOWN_ROW] = 0
    n = 1
    for k in range(rows.shape[0]):
        row = rows[k]
        if place[row] < 0:
            place[row] = n
            distinct[n] = row
            n += 1
        numbers[k] = place[row]
    for k in range(n):
        place[distinct[k]] = -1
    return n
