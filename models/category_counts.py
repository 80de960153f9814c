"""Decayed counts of what a user did in a category: how much, how long ago, and of what kind.

Of no paper. Attention that ends in a softmax tells what stands out among behaviors but not how many
there are, and a ring forgets. The counts are taken over the stored sub-sequence of a category, so
they reach as far back as that does::

    count_k = log(1 + sum_b strength_k(type_b) * 2 ** (-age_b / half_life_k))

Strengths and half-lives are learnt.
"""

import torch
from torch import Tensor, nn

from models.durations import DAY_MS
from models.request_rows import BehaviorRows

_SHORTEST_DAYS, _LONGEST_DAYS = 1.0 / 48.0, 32.0


class CategoryCounts(nn.Module):
    """Counts with several half-lives.

    Args:
        n_counts: How many. The half-lives begin evenly spaced in their logarithm, from half an hour
            to 32 days.
        n_types: Event types.
    """

    def __init__(self, n_counts: int, n_types: int) -> None:
        super().__init__()
        longest = torch.tensor(_LONGEST_DAYS / _SHORTEST_DAYS).log()
        spread = torch.linspace(0.0, 1.0, n_counts) * longest
        self.log_half_lives = nn.Parameter(spread + torch.tensor(_SHORTEST_DAYS).log())
        self.log_strengths = nn.Parameter(torch.zeros(n_types + 1, n_counts))

    def forward(self, found: BehaviorRows) -> Tensor:
        """Return the counts of sub-sequences.

        Args:
            found: ``[..., h]``.

        Returns:
            ``[..., n_counts]``; 0 where nothing was found.
        """
        days = found.ages_ms.to(self.log_half_lives.dtype) / DAY_MS
        decays = torch.exp2(-days.unsqueeze(-1) * torch.exp(-self.log_half_lives))
        strengths = nn.functional.embedding(found.types, self.log_strengths.exp())
        counted = decays * strengths * found.mask.unsqueeze(-1)
        return torch.log1p(counted.sum(-2))

    def of_candidates(self, found: BehaviorRows, group: Tensor) -> Tensor:
        """Return the counts of each candidate's category, ``[s, n, n_counts]``.

        Args:
            found: Sub-sequences of the distinct categories, ``[s, g, h]``.
            group: Which of the g is each candidate's, ``[s, n]``.
        """
        counts: Tensor = self(found)
        return counts.gather(1, group.unsqueeze(-1).expand(-1, -1, counts.shape[-1]))
