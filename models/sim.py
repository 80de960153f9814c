"""SIM: search-based interest model (Pi et al., CIKM 2020), with hard search.

Paper symbols: E* the behaviors that the general search unit found, z_b = [e*_b; e^t_b] behavior and
time interval, e_a candidate; W_b^i, W_a^i of head i ``of_key``, ``of_query``; U_lt the long-term
interest: att^i = softmax(W_b^i z_b . W_a^i e_a), head_i = sum_b att^i_b z_b, U_lt = [head_1; ...].
Keys are not scaled and values are not projected, as in the paper.

Hard search: the behaviors of the candidate's category in the whole stored history; no parameters,
so the search unit has no loss (weights 0 and 1 of the paper). The composition does the search, once
for each distinct category of a request. The scores are computed as z_b . (W_b^i)^T W_a^i e_a, so
that no key is projected and only z_b itself is brought to the candidates.

Deviations: the short-term interest is a DIN with its defaults (the paper has DIEN there); it reads
the whole ring, which may overlap with what the search finds. Number and width of the heads are not
printed in what we could read: ours. Intervals fall into logarithmic buckets, see
``models/time_attention.py``. A category without behaviors gives zeros.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.din import DinConfig, DinReader
from models.layers import masked_softmax, weighted_sums
from models.reading import Reader, ReaderInputs, Reading, Seen
from models.time_attention import IntervalTable, Spacing
from models.value_ranges import Count


@dataclass(frozen=True)
class SimConfig:
    """Sizes of a SIM.

    Attributes:
        time_dim: Width of an interval embedding.
        spacing: Buckets of an interval, see ``interval_rows``.
        n_intervals: How many.
        n_heads: Heads of the exact search unit.
        head_dim: Width in which a head compares.
    """

    time_dim: Count = 16
    spacing: Spacing = "log"
    n_intervals: Count = 48
    n_heads: Count = 2
    head_dim: Count = 16


class ExactSearchUnit(nn.Module):
    """Multi-head attention of each candidate over the sub-sequence of its own category.

    Args:
        dim: Width D of a candidate.
        key_dim: Width Z of z_b.
        n_heads: Heads.
        head_dim: Width in which a head compares.
    """

    def __init__(self, dim: int, key_dim: int, n_heads: int, head_dim: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.of_query = nn.Linear(dim, n_heads * head_dim, bias=False)
        self.of_key = nn.Linear(key_dim, n_heads * head_dim, bias=False)

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor, group: Tensor) -> Tensor:
        """Return U_lt of each candidate.

        Args:
            queries: Candidates, ``[s, n, D]``.
            keys: Sub-sequences z_b of the distinct categories, ``[s, g, h, Z]``.
            mask: True where there is a behavior, ``[s, g, h]``.
            group: Which of the g is each candidate's, ``[s, n]``.

        Returns:
            ``[s, n, n_heads * Z]``; zeros where the sub-sequence is empty.
        """
        s, n, _ = queries.shape
        g, width = keys.shape[1], keys.shape[3]
        first = torch.arange(0, s * g, g, device=group.device).unsqueeze(1)
        place = (first + group).flatten()
        own = keys.flatten(0, 1).index_select(0, place)  # [s * n, h, Z]
        real = mask.flatten(0, 1).index_select(0, place).unsqueeze(-1)
        asked = self._asked(queries).view(s * n, self.n_heads, width)
        weights = masked_softmax(torch.bmm(own, asked.transpose(1, 2)), real, 1)
        return weighted_sums(weights, own).view(s, n, self.n_heads * width)

    def _asked(self, queries: Tensor) -> Tensor:
        """Return (W_b^i)^T W_a^i e_a, ``[s, n, n_heads, Z]``."""
        s, n, _ = queries.shape
        asked = self.of_query(queries).view(s, n, self.n_heads, -1)
        by_head = self.of_key.weight.view(self.n_heads, -1, self.of_key.in_features)
        return torch.einsum("snid,idz->sniz", asked, by_head)


class SimReader(Reader):
    """Short-term interest by a DIN over the ring, long-term interest by the exact search unit.

    Args:
        config: Sizes.
        inputs: What the composition offers.
    """

    searches_candidates = True

    def __init__(self, config: SimConfig, inputs: ReaderInputs) -> None:
        super().__init__()
        self.short = DinReader(DinConfig(), inputs)
        self.compares = self.short.compares
        self.times = IntervalTable(config.time_dim, config.n_intervals, config.spacing)
        width = inputs.dim + config.time_dim
        self.unit = ExactSearchUnit(inputs.dim, width, config.n_heads, config.head_dim)
        self._long_dim = config.n_heads * width

    @property
    def interest_dim(self) -> int:
        """Width of the short-term and the long-term interest."""
        return self.short.interest_dim + self._long_dim

    def forward(self, seen: Seen) -> Reading:
        """Attend the newest behaviors, and those of each candidate's category."""
        found, group = seen.found, seen.group
        assert found is not None, "the reader searches the candidates' categories"
        assert group is not None, "found belongs to groups"
        keys = torch.cat((found.keys, self.times(found.ages_ms)), -1)
        long = self.unit(seen.candidates, keys, found.mask, group)
        return Reading(torch.cat((self.short(seen).interest, long), -1))

    def attention(self, seen: Seen) -> Tensor:
        """Return the short-term part's activation weights, ``[s, t, n]``."""
        return self.short.attention(seen)
