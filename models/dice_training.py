"""Dice (eq 3 of the DIN paper) in training by a processor: its gradient is written by hand."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from models import dice_kernels


def dice_in_training(x: Tensor, alpha: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the activation with the statistics of the batch, and these.

    Args:
        x: ``[batch, dim]``, float32 in memory of the processor.
        alpha: ``[dim]``.
        epsilon: Added to the variance.

    Returns:
        Activation ``[batch, dim]``, mean and population variance ``[dim]``, these without gradient.
    """
    found: tuple[Tensor, Tensor, Tensor] = _Dice.apply(x, alpha, epsilon)
    return found


class _Dice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor, epsilon: float) -> tuple[Tensor, ...]:
        x, alpha = x.detach().contiguous(), alpha.detach()
        exact = x.new_empty(2, x.shape[1], dtype=torch.float64)
        dice_kernels.statistics(x.numpy(), exact[0].numpy(), exact[1].numpy())
        mean, scale = exact[0].float(), torch.rsqrt(exact[1] + epsilon).float()
        out = torch.empty_like(x)
        dice_kernels.activate(*(one.numpy() for one in (x, mean, scale, alpha, out)))
        ctx.save_for_backward(x, mean, scale, alpha)
        variance = exact[1].float()
        ctx.mark_non_differentiable(mean, variance)
        return out, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> Any:
        x, *columns = ctx.saved_tensors
        of_x, sums = torch.empty_like(x), x.new_zeros(3, x.shape[1], dtype=torch.float64)
        named = (columns[0].numpy(), columns[1].numpy(), columns[2].numpy())
        dice_kernels.retreat(
            x.numpy(), gradient.contiguous().numpy(), named, of_x.numpy(), sums.numpy()
        )
        return of_x, sums[0].float(), None
