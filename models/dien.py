"""DIEN: deep interest evolution network (Zhou et al., AAAI 2019).

Paper symbols: e_t the behaviors (``keys``), e_a the candidate, h_t the extractor's states, a_t the
attention, h'_T the final state of the evolving layer.

* Interest extractor: a GRU over the behaviors (eq 2-5). Its states are made to tell the next
  behavior from what was not done (eq 6).
* Interest evolving: a_t = softmax_t(h_t W e_a) (eq 10), and a second GRU over the h_t that the
  attention steers: AIGRU (eq 11), AGRU (eq 12), AUGRU (eq 13); h'_T is the interest.

Eq 6 takes the inner product of state and behavior, so the states are as wide as behaviors.
Published code has a network there; it averages over padding as well, and the paper adds up a user's
steps. Here it is the mean over real steps, so that its weight does not depend on their number;
a weight of 1 is not the paper's alpha of 1 therefore. One behavior that was not done is drawn
beside each that was, all known items alike likely, the behavior itself among them. A walk of a
history counts once, not once for each of its samples.

By option, published code's forms: attention by a DIN unit with softmax (published code projects
the candidate first and has 80 and 40 hidden units; here it is the unit of ``din``); the AUGRU from
TensorFlow's cell, where the keep gate is multiplied by 1 - a, so that a = 0 is a usual step and not
a standstill. The extractor stays the paper's. As in published code, the sum of the behaviors and
its product with the candidate are returned beside the final state.

The extractor starts at an event that many requests share (``CtrConfig.restart_every``); attention
and evolving layer cover the newest ``history_length`` behaviors. An empty history gives zeros.

With a trigger (DIEN+TRA of the DEI2N repository): a second attention and a second evolving layer,
of the trigger; its final state and the trigger's embedding join, zeros without a trigger. So does
the product of that state with the candidate, which is ours.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.din import ActivationUnit
from models.layers import GruCell, masked_softmax
from models.next_behavior import auxiliary_loss
from models.pooling import sum_of_newest
from models.reading import Reader, ReaderInputs, Reading, Seen
from models.recurrent import GatedLayer, Walked, walk_behaviors
from models.value_ranges import Count, Rate

Form = Literal["augru", "aigru", "agru", "augru_published"]


@dataclass(frozen=True)
class DienConfig:
    """Sizes and forms of a DIEN.

    Attributes:
        form: Evolving layer.
        attention: ``bilinear`` (eq 10) or ``unit`` (published code).
        attention_hidden: Hidden widths of the unit.
        auxiliary_weight: Of the loss of eq 6, 0: none.
        sums: Whether the sum of the behaviors and its product with the candidate are returned.
    """

    form: Form = "augru"
    attention: Literal["bilinear", "unit"] = "bilinear"
    attention_hidden: tuple[Count, Count] = (36, 16)
    auxiliary_weight: Rate = 0.1
    sums: bool = True


class BilinearAttention(nn.Module):
    """Eq 10: a_t = softmax_t(h_t W e_a).

    Args:
        dim: Width of the states.
        query_dim: Width of the candidates.
    """

    def __init__(self, dim: int, query_dim: int) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.empty(dim, query_dim))
        nn.init.xavier_uniform_(self.matrix)

    def weights(self, queries: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """Return the attention, 0 at masked states.

        Args:
            queries: ``[s, n, query_dim]``.
            states: ``[s, t, dim]``.
            mask: True where there is a state, ``[s, t]``.

        Returns:
            ``[s, t, n]``.
        """
        scores = torch.bmm(states, (queries @ self.matrix.T).transpose(1, 2))
        return masked_softmax(scores, mask.unsqueeze(-1), 1)


class EvolvingLayer(nn.Module):
    """The second GRU, steered by the attention (eq 11-13).

    Args:
        dim: Width of its inputs and of its states.
        form: How it is steered.
    """

    def __init__(self, dim: int, form: Form) -> None:
        super().__init__()
        self.form = form
        self.layer: GatedLayer | GruCell
        if form == "augru_published":
            self.layer = GruCell(dim, dim)
        else:
            self.layer = GatedLayer(dim, dim, update_gate=form != "agru")

    def forward(self, states: Tensor, attention: Tensor, mask: Tensor) -> Tensor:
        """Return the final states.

        Args:
            states: Of the extractor, ``[s, t, H]``.
            attention: 0 at masked states, ``[s, t, n]``.
            mask: True where there is a state, first ones first, ``[s, t]``.

        Returns:
            ``[s, n, H]``.
        """
        if isinstance(self.layer, GruCell):
            return self._published(self.layer, states, attention, mask)
        if self.form != "aigru":
            last: Tensor = self.layer(states, attention)[1]
            return last
        s, _, n = attention.shape
        inputs = attention.transpose(1, 2).unsqueeze(-1) * states.unsqueeze(1)  # [s, n, t, H]
        real = mask.repeat_interleave(n, 0).unsqueeze(-1).to(states.dtype)
        last = self.layer(inputs.flatten(0, 1), real)[1]
        return last.view(s, n, -1)

    def _published(self, cell: GruCell, states: Tensor, attention: Tensor, mask: Tensor) -> Tensor:
        s, t, n = attention.shape
        steered = attention.transpose(1, 2).reshape(s * n, t)
        inputs, real = states.repeat_interleave(n, 0), mask.repeat_interleave(n, 0)
        hidden = states.new_zeros(s * n, len(cell.candidate_bias))
        for k in range(t):
            moved = cell(inputs[:, k], hidden, steered[:, k, None])
            hidden = torch.where(real[:, k, None], moved, hidden)
        return hidden.view(s, n, -1)


class DienReader(Reader):
    """Interests and how they evolved with regard to each candidate.

    Args:
        config: Sizes and forms.
        inputs: What the composition offers.
    """

    def __init__(self, config: DienConfig, inputs: ReaderInputs) -> None:
        super().__init__()
        self.config = config
        self.dim, self.length = inputs.dim, inputs.history_length
        self.wants_negatives = config.auxiliary_weight > 0
        self.extractor = GatedLayer(inputs.dim, inputs.dim)
        self.unit, self.evolving = self._attention(), EvolvingLayer(inputs.dim, config.form)
        self.trigger_unit = self.trigger_evolving = None
        if inputs.trigger:
            self.trigger_unit = self._attention()
            self.trigger_evolving = EvolvingLayer(inputs.dim, config.form)

    def _attention(self) -> BilinearAttention | ActivationUnit:
        if self.config.attention == "bilinear":
            return BilinearAttention(self.dim, self.dim)
        hidden = self.config.attention_hidden
        return ActivationUnit(self.dim, (hidden[0], hidden[1]), "softmax")

    @property
    def interest_dim(self) -> int:
        """Width of final state, trigger's final state, embedding and product, sum and product."""
        return self.dim * (1 + 3 * (self.trigger_unit is not None) + 2 * self.config.sums)

    def forward(self, seen: Seen) -> Reading:
        """Read requests; with the loss of eq 6 where there is what was not done."""
        walked = walk_behaviors(self.extractor, seen, self.length)
        states, candidates = walked.newest, seen.candidates
        attention = self.unit.weights(candidates, states, walked.real)
        parts = [self.evolving(states, attention, walked.real)]
        if self.trigger_unit is not None and self.trigger_evolving is not None:
            attention = self.trigger_unit.weights(seen.trigger.unsqueeze(1), states, walked.real)
            final = self.trigger_evolving(states, attention, walked.real)
            final = final * seen.has_trigger[:, None, None]
            parts += [final.expand_as(candidates), seen.trigger.unsqueeze(1).expand_as(candidates)]
            parts.append(final * candidates)
        if self.config.sums:
            total = sum_of_newest(seen.behaviors, self.length).unsqueeze(1)
            parts += [total.expand_as(candidates), total * candidates]
        return Reading(torch.cat(parts, -1), self._auxiliary_loss(seen, walked))

    def attention(self, seen: Seen) -> Tensor:
        """Return a_t of each candidate, ``[s, t, n]``."""
        walked = walk_behaviors(self.extractor, seen, self.length)
        weights = self.unit.weights(seen.candidates, walked.newest, walked.real)
        everywhere = weights.new_zeros(*seen.behaviors.mask.shape, weights.shape[2])
        # What is masked stands at 0 and adds 0 to the first behavior.
        return everywhere.scatter_add(1, walked.column.unsqueeze(-1).expand_as(weights), weights)

    def _auxiliary_loss(self, seen: Seen, walked: Walked) -> Tensor | None:
        if seen.negatives is None or not self.wants_negatives:
            return None
        behaviors = seen.behaviors if seen.walk is None else seen.walk
        states = walked.states[:-1].transpose(0, 1)  # the state before each behavior but the first
        return self.config.auxiliary_weight * auxiliary_loss(states, behaviors, seen.negatives)
