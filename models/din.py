"""DIN: deep interest network (Zhou et al., KDD 2018), its local activation unit.

Paper symbols: v_A candidate (``queries``), e_j behavior (``keys``), a(e_j, v_A) activation weight,
v_U(A) = sum_j a(e_j, v_A) e_j. The unit's input is [q, k, q - k, q * k] as in all published code
(the paper prints q, k and their "out product"). Its hidden layers are sigmoid: that too is the
published code's choice, the paper has PReLU or Dice there.

The weights are not normalised (paper). Softmax and softmax divided by sqrt(D), as published code
has them, are options. An empty history gives the zero vector in every form; published code gives
the mean over padding there.

The first layer is computed by parts: [q, k, q - k, q * k] W = q (Wq + Wd) + k (Wk - Wd) +
(q * k) Wp, so a key is multiplied once for all candidates of a request.

Not in the paper: event type and age of a behavior, and whether its item and its category are the
candidate's own, may enter the first layer as a bias; beside v_U(A) the reader returns its product
with the candidate, v_U(A) * v_A (the authors' code has it after a dense layer, that of DIEN has the
product of the plain sum). The paper's mini-batch aware regulariser is in
``models/row_optimiser.py``.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.layers import is_compiled, masked_softmax, weighted_sums
from models.reading import Behaviors, Reader, ReaderInputs, Reading, Seen, age_buckets
from models.unit_inference import Facts, KeptLayers, scores_in_tiles
from models.unit_scores import UnitInputs, UnitWeights, unit_scores
from models.value_ranges import Count, Size

Weighting = Literal["paper", "softmax", "scaled_softmax"]


class ActivationUnit(nn.Module):
    """Attention of candidates over keys that they share.

    Args:
        dim: Width D of keys and queries.
        hidden: Widths of the two hidden layers.
        weighting: ``paper`` (no softmax), ``softmax``, or ``scaled_softmax`` (scores / sqrt(D)).
        activation: Of the hidden layers.
    """

    def __init__(
        self,
        dim: int,
        hidden: tuple[int, int],
        weighting: Weighting = "paper",
        activation: Literal["sigmoid", "relu"] = "sigmoid",
    ) -> None:
        super().__init__()
        self.dim = dim
        self.weighting = weighting
        self._sigmoid = activation == "sigmoid"
        self._activate = torch.relu_ if activation == "relu" else torch.sigmoid_
        self.first = nn.Linear(4 * dim, hidden[0])
        self.second = nn.Linear(hidden[0], hidden[1])
        self.third = nn.Linear(hidden[1], 1)
        self._kept = KeptLayers(self.first, self.second, self.third)

    def forward(
        self,
        queries: Tensor,
        keys: Tensor,
        mask: Tensor,
        bias: Tensor | None = None,
        pairs: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Return the attended keys.

        Args:
            queries: Candidates, ``[batch, n, D]``.
            keys: Behaviors, ``[batch, t, D]``.
            mask: True where a key is real, ``[batch, t]``.
            bias: Added to the first layer of each key, ``[batch, t, hidden]``.
            pairs: Facts of each key and query, ``[batch, t, n, f]``, and what each adds to the
                first layer, ``[f, hidden]``.

        Returns:
            ``[batch, n, D]``.
        """
        weights = self.weights(queries, keys, mask, bias, pairs)
        return weighted_sums(weights, keys)

    def weights(
        self,
        queries: Tensor,
        keys: Tensor,
        mask: Tensor,
        bias: Tensor | None = None,
        pairs: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Return the activation weights, 0 at masked keys, ``[batch, t, n]``."""
        scores = self.scores(queries, keys, bias, pairs)
        real = mask.unsqueeze(-1)
        if self.weighting == "paper":
            return scores * real
        if self.weighting == "scaled_softmax":
            scores = scores / math.sqrt(self.dim)
        return masked_softmax(scores, real, 1)

    def scores(
        self,
        queries: Tensor,
        keys: Tensor,
        bias: Tensor | None = None,
        pairs: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Return the output of the unit's network for every key and query, ``[batch, t, n]``."""
        batch, n, _ = queries.shape
        t = keys.shape[1]
        in_training = torch.is_grad_enabled()
        if in_training:
            self._kept.forget()
        if is_compiled(keys) and (self._sigmoid or not in_training):
            facts = Facts.of_nothing(keys, queries) if pairs is None else Facts(*pairs)
            if in_training:
                return self._scores_with_a_way_back(queries, keys, bias, facts)
            return scores_in_tiles(queries, keys, bias, facts, self._kept.layers(), self._sigmoid)
        wq, wk, wd, wp = torch.split(self.first.weight, self.dim, 1)  # each [hidden, D]
        per_key = nn.functional.linear(keys, wk - wd, self.first.bias)
        if bias is not None:
            per_key = per_key + bias
        per_query = nn.functional.linear(queries, wq + wd)
        # (q * k) Wp = k (diag(q) Wp): one product for all candidates of a request.
        both = queries.transpose(1, 2).unsqueeze(-1) * wp.T[None, :, None, :]  # [batch, D, n, h]
        layer = torch.bmm(keys, both.flatten(2)).view(batch, t, n, per_key.shape[-1])
        # In place: the layer is large, and a fresh one for each sum costs more than the products.
        layer = layer.add_(per_key.unsqueeze(2)).add_(per_query.unsqueeze(1))
        if pairs is not None:
            known, rows = pairs
            layer = torch.addmm(layer.flatten(0, 2), known.flatten(0, 2), rows).view(layer.shape)
        layer = self._activate(self.second(self._activate(layer)))
        scores: Tensor = self.third(layer).squeeze(-1)
        return scores

    def _scores_with_a_way_back(
        self, queries: Tensor, keys: Tensor, bias: Tensor | None, facts: Facts
    ) -> Tensor:
        """Return the same by ``models/unit_scores.py``."""
        wq, wk, wd, wp = torch.split(self.first.weight, self.dim, 1)
        per_query = nn.functional.linear(queries, wq + wd, self.first.bias)
        following = (self.second.weight.T, self.second.bias, self.third.weight[0], self.third.bias)
        return unit_scores(
            UnitInputs(keys, queries, per_query, bias, *facts),
            UnitWeights((wk - wd).T, wp.T, *following),
        )


@dataclass(frozen=True)
class DinConfig:
    """Sizes and forms of a DIN.

    Attributes:
        hidden: Widths of the activation unit's hidden layers.
        weighting: See ``ActivationUnit``.
        types: Whether a behavior's event type enters the unit; belongs to no paper, as the next.
        n_ages: Buckets of a behavior's age that enter the unit, 0: none.
        same: Whether the unit is told which behaviors are of the candidate's item and category.
        product: Whether v_U(A) * v_A is returned beside v_U(A), and that of the trigger's sum too.
    """

    hidden: tuple[Count, Count] = (36, 16)
    weighting: Weighting = "paper"
    types: bool = True
    n_ages: Size = 24
    same: bool = True
    product: bool = True


class DinReader(Reader):
    """The short-term side of a DIN: recent behaviors, attended by each candidate.

    With ``inputs.trigger`` (DIN+TRA of the DEI2N paper) a second unit attends the same behaviors
    with the trigger, and its sum joins; it is zero without a trigger. Its product with the
    candidate is ours.

    Args:
        config: Sizes and forms.
        inputs: What the composition offers.
    """

    def __init__(self, config: DinConfig, inputs: ReaderInputs) -> None:
        super().__init__()
        self.config = config
        self.dim = inputs.dim
        self.compares = config.same
        hidden = tuple(config.hidden)
        self.unit = ActivationUnit(inputs.dim, (hidden[0], hidden[1]), config.weighting)
        n_types = inputs.n_types if config.types else 0
        self.type_bias = nn.Embedding(n_types + 1, hidden[0]) if n_types else None
        self.age_bias = nn.Embedding(config.n_ages, hidden[0]) if config.n_ages else None
        for table in (self.type_bias, self.age_bias):
            if table is not None:
                nn.init.normal_(table.weight, std=0.1)
        self.same_bias = nn.Parameter(torch.randn(2, hidden[0]) * 0.1) if config.same else None
        self.trigger_unit = None
        if inputs.trigger:
            self.trigger_unit = ActivationUnit(inputs.dim, (hidden[0], hidden[1]), config.weighting)

    @property
    def interest_dim(self) -> int:
        """Width of the attended sum, the trigger's, and their products with the candidate."""
        return self.dim * (1 + self.config.product) * (1 + (self.trigger_unit is not None))

    def forward(self, seen: Seen) -> Reading:
        """Attend the behaviors with each candidate, and with the trigger."""
        behaviors, candidates = seen.behaviors, seen.candidates
        bias, pairs = self._bias(behaviors), self._pairs(seen)
        parts = [self.unit(candidates, behaviors.keys, behaviors.mask, bias, pairs)]
        if self.trigger_unit is not None:
            query = seen.trigger.unsqueeze(1)
            attended = self.trigger_unit(query, behaviors.keys, behaviors.mask, bias)
            attended = attended * seen.has_trigger[:, None, None]
            parts.append(attended.expand_as(candidates))
        if self.config.product:
            parts += [part * candidates for part in parts]
        return Reading(torch.cat(parts, -1))

    def attention(self, seen: Seen) -> Tensor:
        """Return the activation weights, ``[s, t, n]``."""
        behaviors = seen.behaviors
        bias, pairs = self._bias(behaviors), self._pairs(seen)
        return self.unit.weights(seen.candidates, behaviors.keys, behaviors.mask, bias, pairs)

    def _bias(self, behaviors: Behaviors) -> Tensor | None:
        """Return what types and ages add to the first layer, ``[s, t, hidden]``."""
        terms: list[Tensor] = []
        if self.type_bias is not None:
            terms.append(self.type_bias(behaviors.types))
        if self.age_bias is not None:
            terms.append(self.age_bias(age_buckets(behaviors.ages_ms, self.config.n_ages)))
        return sum(terms[1:], terms[0]) if terms else None

    def _pairs(self, seen: Seen) -> tuple[Tensor, Tensor] | None:
        return None if self.same_bias is None else (seen.same, self.same_bias)
