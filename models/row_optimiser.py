"""Adam for the rows of a batch: an epoch's cost does not grow with the vocabulary.

Moments move when their row is met, as in ``torch.optim.SparseAdam``. Two ways to hold the rows
down, both decoupled from the moments (as weight decay is in AdamW) and both applied to the rows of
the batch only:

* plain decay: a row shrinks by ``learning_rate * decay`` whenever it is met;
* the mini-batch aware regulariser of the DIN paper (Zhou et al. 2018, eq 4-6): it shrinks by
  ``learning_rate * rate / n_j``, where ``n_j`` is how often id j occurs in all training samples, so
  that rare ids, which have the least to learn from, are held down most. The paper adds this to the
  gradient of SGD; here it stands beside Adam's step, whose division by the second moment would undo
  it. With steps of Adam's size the paper's rate of 0.01 hardly moves a row: the rate has to be
  larger by about the ratio of the learning rates.

The kept weights are an exponential average of the latest ones. A row that is not met does not move,
so its average is caught up in one step when it is met again.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interest_center.core.compiled import compiled

F32 = NDArray[np.float32]
Ints = NDArray[np.int64]

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


@dataclass(frozen=True)
class RowDecay:
    """How rows are held down.

    Attributes:
        decay: Plain decay.
        rate: Rate of the mini-batch aware regulariser, 0: none.
        counts: Occurrences ``n_j`` of each row in the training samples, ``[n_rows]``.
    """

    decay: float
    rate: float
    counts: Tensor

    def shares(self, rows: Tensor) -> Tensor:
        """Return the decay of each row, ``[n]``."""
        aware = self.rate / self.counts[rows].clamp_min(1.0)
        return aware + self.decay


class RowAdam:
    """Adam and averaged weights of one table.

    Args:
        weight: The table, ``[n_rows, dim]``; moved in place.
        average: Where its average is kept; the same values at the beginning.
        decay: How its rows are held down.
        average_over: Steps that the average reaches over.
    """

    def __init__(self, weight: Tensor, average: Tensor, decay: RowDecay, average_over: int) -> None:
        self._weight = weight
        self._average = average
        self._decay = decay
        self._average_over = average_over
        self.state = {
            "first": torch.zeros_like(weight),
            "second": torch.zeros_like(weight),
            "met_at": torch.zeros(len(weight), dtype=torch.int64, device=weight.device),
        }

    def step(self, rows: Tensor, gradient: Tensor, learning_rate: float, step: int) -> None:
        """Move rows once.

        Args:
            rows: Distinct rows, ``[n]``.
            gradient: Of each, ``[n, dim]``.
            learning_rate: Adam's.
            step: Number of this step, from 1, the same for all tables.
        """
        on_cpu = rows.device.type == "cpu"
        move = self._step_compiled if on_cpu else self._step_vectorised
        move(rows, gradient, learning_rate, step)

    def _step_vectorised(
        self, rows: Tensor, gradient: Tensor, learning_rate: float, step: int
    ) -> None:
        """``step`` in tensor operations, for any device."""
        state = self.state
        first, second = state["first"][rows], state["second"][rows]
        first.lerp_(gradient, 1 - _BETAS[0])
        second.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
        state["first"][rows], state["second"][rows] = first, second
        old = self._weight[rows]
        scale = (second / (1 - _BETAS[1] ** step)).sqrt_().add_(_EPSILON)
        new = old - learning_rate * first / (1 - _BETAS[0] ** step) / scale
        new -= learning_rate * self._decay.shares(rows).unsqueeze(-1) * old
        average = self._caught_up(rows, old, step - 1)
        share = max(1.0 / self._average_over, 1.0 / step)
        self._average[rows] = average.lerp_(new, share)
        self._weight[rows] = new
        state["met_at"][rows] = step

    def _step_compiled(
        self, rows: Tensor, gradient: Tensor, learning_rate: float, step: int
    ) -> None:
        """``step`` in one pass, for the processor."""
        state = self.state
        tables = (self._weight.detach(), self._average.detach(), state["first"], state["second"])
        weights, averages, firsts, seconds = (table.numpy() for table in tables)
        _move(
            (weights, averages, firsts, seconds, state["met_at"].numpy()),
            rows.numpy(),
            gradient.numpy(),
            (learning_rate * self._decay.shares(rows)).numpy(),
            (learning_rate, self._average_over, step),
        )

    def catch_up(self, step: int) -> None:
        """Bring the average of every row up to a step; a pass over the table, for once an epoch."""
        rows = torch.arange(len(self._weight), device=self._weight.device)
        self._average.copy_(self._caught_up(rows, self._weight, step))
        self.state["met_at"].fill_(step)

    def _caught_up(self, rows: Tensor, still: Tensor, step: int) -> Tensor:
        """Return the average of rows that have not moved since they were met.

        A step ``s`` keeps ``1 - 1 / min(s, average_over)`` of what the average was, so that steps
        up to ``average_over`` multiply to a plain ratio and the later ones to a power.
        """
        reach, met_at = self._average_over, self.state["met_at"][rows]
        kept = met_at.clamp_max(reach).double() / max(1, min(step, reach))
        kept *= (1 - 1 / reach) ** (max(step, reach) - met_at.clamp_min(reach)).double()
        return still + (self._average[rows] - still) * kept.to(still).unsqueeze(-1)


@compiled
def _move(
    tables: tuple[F32, F32, F32, F32, Ints],
    rows: Ints,
    gradient: F32,
    shrink: F32,
    now: tuple[float, int, int],
) -> None:
    """Move rows as ``RowAdam.step`` says.

    Args:
        tables: Weights, averages, first and second moments, and when each row was met.
        rows: ``[n]``.
        gradient: ``[n, dim]``.
        shrink: Share that each row loses, ``[n]``.
        now: Learning rate, steps that the average reaches over, number of the step.
    """
    weights, averages, firsts, seconds, met_at = tables
    rate, reach, step = now
    beta2 = np.float32(_BETAS[1])
    # Not 1 - beta in float32: that of 0.999 is off by a hundred thousandth.
    new, new2 = np.float32(1 - _BETAS[0]), np.float32(1 - _BETAS[1])
    size = np.float32(rate / (1 - _BETAS[0] ** step))
    scale = np.float32(1 / (1 - _BETAS[1] ** step))
    share = np.float32(max(1.0 / reach, 1.0 / step))
    epsilon = np.float32(_EPSILON)
    for k in range(rows.shape[0]):
        row, g = rows[k], gradient[k]
        weight, average, first, second = weights[row], averages[row], firsts[row], seconds[row]
        met = met_at[row]
        kept = min(met, reach) / max(1, min(step - 1, reach))
        kept *= (1 - 1 / reach) ** (max(step - 1, reach) - max(met, reach))
        stays = np.float32(kept)
        for d in range(g.shape[0]):
            first[d] += new * (g[d] - first[d])
            second[d] = beta2 * second[d] + new2 * g[d] * g[d]
            old = weight[d]
            moved = size * first[d] / (np.sqrt(second[d] * scale) + epsilon)
            weight[d] = old - moved - shrink[k] * old
            caught_up = old + (average[d] - old) * stays
            average[d] = caught_up + share * (weight[d] - caught_up)
        met_at[row] = step
