"""Multi-head self-attention over behaviors (Vaswani et al. 2017) with residual and normalisation.

E = LayerNorm(X + dropout([head_1, ...] W^O)), head_i = softmax(Q_i K_i^T / sqrt(d_h)) V_i, as DEI2N
(eq 2-3) and DIHN have it: no biases, no mask of the future. Behaviors that are not there are not
attended to; where there are none at all the heads are zeros.
"""

import math

import torch
from torch import Tensor, nn

from models.layers import masked_softmax


class SelfAttention(nn.Module):
    """One block of self-attention.

    Args:
        dim: Width D of a behavior.
        n_heads: Heads; they share D, so it must be a multiple of them.
        dropout: Share of the output left out in training, before the residual is added.

    Raises:
        ValueError: D is not a multiple of the heads.
    """

    def __init__(self, dim: int, n_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % n_heads:
            raise ValueError(f"{n_heads} heads do not share a width of {dim}")
        self.n_heads = n_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)

    def forward(self, behaviors: Tensor, mask: Tensor) -> Tensor:
        """Return the refined behaviors.

        Args:
            behaviors: ``[s, t, D]``.
            mask: True where there is a behavior, ``[s, t]``.

        Returns:
            ``[s, t, D]``; what stands at masked behaviors means nothing.
        """
        refined: Tensor = self.norm(behaviors + self.dropout(self.out(self.heads(behaviors, mask))))
        return refined

    def heads(self, behaviors: Tensor, mask: Tensor) -> Tensor:
        """Return the heads side by side, ``[s, t, D]``."""
        s, t, dim = behaviors.shape
        width = dim // self.n_heads
        split = self.qkv(behaviors).view(s, t, 3, self.n_heads, width)
        # Contiguous: products of scattered matrices go one by one, which costs more than the copy.
        q, k, v = split.permute(2, 0, 3, 1, 4).contiguous()  # each [s, heads, t, width]
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(width)
        weights = masked_softmax(scores, mask[:, None, None, :], -1)
        return torch.matmul(weights, v).transpose(1, 2).reshape(s, t, dim)
