"""Pooling of behaviors that does not look at the candidate: what several readers share."""

from typing import Literal

import torch
from torch import Tensor

from models.layers import weighted_sums
from models.reading import Behaviors

Pooling = Literal["sum", "mean"]


def pooled(behaviors: Behaviors, pooling: Pooling) -> Tensor:
    """Return the sum or the mean of behaviors, zeros where there are none, ``[s, D]``."""
    real = behaviors.mask.unsqueeze(-1).to(behaviors.keys.dtype)
    total = weighted_sums(real, behaviors.keys).squeeze(1)
    return total / real.sum(1).clamp_min(1) if pooling == "mean" else total


def sum_of_newest(behaviors: Behaviors, length: int) -> Tensor:
    """Return the sum of at most so many newest behaviors, ``[s, D]``."""
    lengths = behaviors.mask.sum(1, keepdim=True)
    at = torch.arange(behaviors.mask.shape[1], device=lengths.device)
    newest = behaviors.mask & (at >= lengths - length)
    return pooled(behaviors._replace(mask=newest), "sum")
