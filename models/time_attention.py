"""Attention that knows how long ago a behavior was: interval embeddings and the time-aware unit.

DEI2N (Xiao et al. 2024), sections 2.1 and 2.3; DIHN's attention of the trigger is the same unit.
Paper symbols: t_i = floor((t - t^_i) / T_f) ``interval_rows``, e_{t_i} ``IntervalTable``,
a(e_u_j; e_t_j; e_ta) ``TimeAwareUnit``. The inside of the unit is only in a figure of the paper;
this is the published code's: q' = relu([q; e_t] Wq + b), then a network with relu on
[q', k, q' - k, q' * k], softmax over the behaviors. An empty history gives zeros; published code
gives the mean over padding.

Buckets of an interval: ``linear`` is the paper's, whole minutes (T_f = 60 s), capped at the last
row of the table as in published code, which has 86,401 rows (60 days). The default, ``log``, is
ours: half doublings of a minute, so that 48 rows reach 30 years and most of them are trained. An
event from after the request counts as one at the request in both.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from models.layers import is_compiled, masked_softmax, weighted_sums
from models.unit_inference import Facts, KeptLayers, placed_scores_in_tiles

Spacing = Literal["log", "linear"]

_MINUTE_MS = 60_000
_INITIAL_STD = 0.1


def interval_rows(ages_ms: Tensor, spacing: Spacing, n_rows: int) -> Tensor:
    """Return the table row of each interval, in [0, n_rows).

    Args:
        ages_ms: From a behavior to the request, milliseconds, any shape.
        spacing: ``linear``: whole minutes; ``log``: half doublings of 1 + minutes.
        n_rows: Longer intervals count as the last row's.
    """
    if spacing == "linear":
        rows = torch.div(ages_ms, _MINUTE_MS, rounding_mode="floor").long()
    else:
        minutes = ages_ms.clamp_min(0).to(torch.float32) / _MINUTE_MS
        rows = (2 * torch.log2(1 + minutes)).long()
    return rows.clamp(0, n_rows - 1)


class IntervalTable(nn.Module):
    """Embeddings of the time between behavior and request.

    Args:
        dim: Width of an embedding, d_time.
        n_rows: Buckets.
        spacing: See ``interval_rows``.
    """

    def __init__(self, dim: int, n_rows: int, spacing: Spacing) -> None:
        super().__init__()
        self.spacing = spacing
        self.table = nn.Embedding(n_rows, dim)
        nn.init.normal_(self.table.weight, std=_INITIAL_STD)

    def forward(self, ages_ms: Tensor) -> Tensor:
        """Return the embeddings of intervals in milliseconds, ``[..., dim]``."""
        rows = interval_rows(ages_ms, self.spacing, self.table.num_embeddings)
        embedded: Tensor = self.table(rows)
        return embedded


class TimeAwareUnit(nn.Module):
    """Attention of queries over keys each of which stands somewhere in time.

    What depends on the key alone is multiplied once for all queries.

    Args:
        dim: Width D of keys and queries.
        place_dim: Width P of the embedding of a key's place in time, 0: it has none.
        hidden: Widths of the two hidden layers.
        n_facts: Facts F of each key and query, 0: none. They belong to no paper.
    """

    def __init__(self, dim: int, place_dim: int, hidden: tuple[int, int], n_facts: int = 0) -> None:
        super().__init__()
        self.dim = dim
        self.query = nn.Linear(dim + place_dim, dim)
        self.first = nn.Linear(4 * dim, hidden[0])
        self.second = nn.Linear(hidden[0], hidden[1])
        self.third = nn.Linear(hidden[1], 1)
        self._kept = KeptLayers(self.first, self.second, self.third)
        self.of_facts = nn.Linear(n_facts, hidden[0], bias=False) if n_facts else None

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        mask: Tensor,
        places: Tensor | None = None,
        facts: Tensor | None = None,
    ) -> Tensor:
        """Return the attended keys.

        Args:
            queries: ``[batch, n, D]``.
            keys: ``[batch, t, D]``.
            mask: True where a key is real, ``[batch, t]``.
            places: Embeddings of the keys' places, ``[batch, t, P]``; None if P is 0.
            facts: Added to the first layer, ``[batch, t, n, F]``; None if F is 0.

        Returns:
            ``[batch, n, D]``; zeros where no key is real.
        """
        weights = self.weights(queries, keys, mask, places, facts)
        return weighted_sums(weights, keys)

    def weights(
        self,
        queries: Tensor,
        keys: Tensor,
        mask: Tensor,
        places: Tensor | None = None,
        facts: Tensor | None = None,
    ) -> Tensor:
        """Return the weights, which sum to 1 over the real keys, ``[batch, t, n]``."""
        return masked_softmax(self.scores(queries, keys, places, facts), mask.unsqueeze(-1), 1)

    def scores(
        self,
        queries: Tensor,
        keys: Tensor,
        places: Tensor | None = None,
        facts: Tensor | None = None,
    ) -> Tensor:
        """Return the output of the unit's network, ``[batch, t, n]``."""
        if torch.is_grad_enabled():
            self._kept.forget()
        elif places is not None and is_compiled(keys):
            return self._scores_in_tiles(queries, keys, places, facts)
        placed = self._placed(queries, places)  # [batch, t or 1, n, D]
        wq, wk, wd, wp = torch.split(self.first.weight, self.dim, 1)  # each [hidden, D]
        per_key = nn.functional.linear(keys, wk - wd, self.first.bias)
        product = placed * keys.unsqueeze(2)
        layer = nn.functional.linear(product, wp)
        layer = layer + nn.functional.linear(placed, wq + wd)
        if self.of_facts is not None:
            layer = layer + self.of_facts(facts)
        layer = layer.add_(per_key.unsqueeze(2)).relu_()
        layer = self.second(layer).relu_()
        scores: Tensor = self.third(layer).squeeze(-1)
        return scores

    def _scores_in_tiles(
        self, queries: Tensor, keys: Tensor, places: Tensor, facts: Tensor | None
    ) -> Tensor:
        """Return the same by ``models/unit_inference.py``."""
        of_query, of_place = self._of_query_and_place()
        known = Facts.of_nothing(keys, queries)
        if self.of_facts is not None and facts is not None:
            known = Facts(facts, self.of_facts.weight.T)
        return placed_scores_in_tiles(
            nn.functional.linear(queries, of_query, self.query.bias),
            nn.functional.linear(places, of_place),
            keys,
            known,
            self._kept.layers(),
        )

    def _of_query_and_place(self) -> tuple[Tensor, Tensor]:
        """Return the parts of the query's layer, ``[D, D]`` and ``[D, P]``."""
        of_query, of_place = torch.split(
            self.query.weight, [self.dim, self.query.in_features - self.dim], 1
        )
        return of_query, of_place

    def _placed(self, queries: Tensor, places: Tensor | None) -> Tensor:
        """Return q', the queries as each place sees them."""
        of_query, of_place = self._of_query_and_place()
        placed = nn.functional.linear(queries, of_query, self.query.bias).unsqueeze(1)
        if places is not None:
            placed = placed + nn.functional.linear(places, of_place).unsqueeze(2)
        return torch.relu(placed)
