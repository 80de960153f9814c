"""Embedding tables of ids, of which a training step touches the rows of its batch and no others.

So the cost of a step follows the batch and not the vocabulary: the batch's distinct rows are taken
out of the table, gradients are made for them alone, and the optimiser writes them back.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from interest_center.core.compiled import compiled
from models.vocabulary import UNKNOWN_ROW

Ints = NDArray[np.int64]


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
