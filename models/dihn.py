"""DIHN: deep interest highlight network (Shen et al., WWW 2022), for triggers.

The paper could not be read: this follows reading notes of it, and published code of others (the
DEI2N repository) where they say what a part is. From the notes: user intent network with a loss of
its own (weight .8, the click loss has 1), fused embedding from its probability, hybrid interest
extraction with hard and soft part. Symbols: p ``trigger_probability`` (UIN),
p e_trigger + (1 - p) e_target the fused embedding (FEM), HSM and SSM the hard and soft part (HIEM).

* UIN: the time-aware attention of the trigger over the behaviors, with what is known of the
  request, the trigger, the sum of the behaviors and its product with the trigger, through a
  network; that input is published code's. Its label in the paper is whether the user clicked in the
  page flow that the trigger induced, which no log of ours holds; ours, like published code's, is
  whether the candidate is of the trigger's category. It is computed only where there is a trigger.
* HSM: attention of the fused embedding over the behaviors of the trigger's category; the query
  knows the position of a behavior, counted from the newest one.
* SSM: self-attention over the behaviors, then a DIN unit with the fused embedding (softmax, so that
  its scale does not grow with the history, which is ours).

Mended from published code: the fused embedding is mixed by the probability, not by a hidden layer;
the hard part is attended to with its mask, not averaged over padding. Without a trigger, p is 0:
the fused embedding is the candidate. Widths and the number of heads are ours.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.din import ActivationUnit
from models.layers import relu_layers
from models.reading import Behaviors, Reader, ReaderInputs, Reading, Seen
from models.self_attention import SelfAttention
from models.time_attention import IntervalTable, Spacing, TimeAwareUnit
from models.trigger_intent import category_loss, following, of_trigger
from models.value_ranges import Count, Dropout, Rate, Widths


@dataclass(frozen=True)
class DihnConfig:
    """Sizes of a DIHN.

    Attributes:
        place_dim: Width of the embeddings of intervals and positions.
        spacing: Buckets of an interval, see ``interval_rows``.
        n_intervals: How many.
        n_positions: Positions told apart in the sub-sequence of the trigger's category; older
            behaviors count as the last.
        n_heads: Heads of the self-attention.
        dropout: Share of the self-attention's output left out in training.
        attention_hidden: Hidden widths of the attention units.
        intent_hidden: Hidden widths of the user intent network.
        intent_rate: Weight of its loss, beta.
    """

    place_dim: Count = 16
    spacing: Spacing = "log"
    n_intervals: Count = 48
    n_positions: Count = 50
    n_heads: Count = 2
    dropout: Dropout = 0.1
    attention_hidden: tuple[Count, Count] = (36, 16)
    intent_hidden: Widths = (72, 36)
    intent_rate: Rate = 0.8


class DihnReader(Reader):
    """Hard and soft interest in a mixture of trigger and candidate.

    Args:
        config: Sizes.
        inputs: What the composition offers.
    """

    searches_trigger = True

    def __init__(self, config: DihnConfig, inputs: ReaderInputs) -> None:
        super().__init__()
        self.config = config
        self.dim = dim = inputs.dim
        hidden = (config.attention_hidden[0], config.attention_hidden[1])
        self.times = IntervalTable(config.place_dim, config.n_intervals, config.spacing)
        self.positions = nn.Embedding(config.n_positions, config.place_dim)
        nn.init.normal_(self.positions.weight, std=0.1)
        self.intent_unit = TimeAwareUnit(dim, config.place_dim, hidden)
        self.intent = relu_layers(inputs.request_dim + 4 * dim, config.intent_hidden)
        self.intent.append(nn.Linear(config.intent_hidden[-1], 2))
        self.hard_unit = TimeAwareUnit(dim, config.place_dim, hidden)
        self.refine = SelfAttention(dim, config.n_heads, config.dropout)
        self.soft_unit = ActivationUnit(dim, hidden, "softmax")

    @property
    def interest_dim(self) -> int:
        """Width of fused embedding, hard and soft interest."""
        return 3 * self.dim

    def forward(self, seen: Seen) -> Reading:
        """Read requests; with the loss of the user intent network in training."""
        logits = self._intent(seen)
        fused = self._fused(seen, following(seen, logits))
        found = of_trigger(seen)
        hard = self.hard_unit(fused, found.keys, found.mask, self._places(found))
        keys, mask = seen.behaviors.keys, seen.behaviors.mask
        soft = self.soft_unit(fused, self.refine(keys, mask), mask)
        loss = None
        if self.training:
            loss = self.config.intent_rate * category_loss(seen, logits, seen.candidate_mask)
        return Reading(torch.cat((fused, hard, soft), -1), loss)

    def trigger_probability(self, seen: Seen) -> Tensor:
        """Return how far the user follows the trigger, p of the UIN; 0 without one, ``[s]``."""
        return following(seen, self._intent(seen))

    def attention(self, seen: Seen) -> Tensor:
        """Return the weights of the soft part, ``[s, t, n]``."""
        fused = self._fused(seen, self.trigger_probability(seen))
        keys, mask = seen.behaviors.keys, seen.behaviors.mask
        return self.soft_unit.weights(fused, self.refine(keys, mask), mask)

    def _intent(self, seen: Seen) -> Tensor:
        """Return the logits of following and of not following the trigger, ``[s, 2]``."""
        keys, mask = seen.behaviors.keys, seen.behaviors.mask
        times = self.times(seen.behaviors.ages_ms)
        attended = self.intent_unit(seen.trigger.unsqueeze(1), keys, mask, times).squeeze(1)
        done = (keys * mask.unsqueeze(-1)).sum(1)
        known = (seen.request, seen.trigger, attended, done, done * seen.trigger)
        logits: Tensor = self.intent(torch.cat(known, -1))
        return logits

    def _fused(self, seen: Seen, probability: Tensor) -> Tensor:
        """Return p e_trigger + (1 - p) e_target, ``[s, n, D]``."""
        p = probability[:, None, None]
        return p * seen.trigger.unsqueeze(1) + (1 - p) * seen.candidates

    def _places(self, found: Behaviors) -> Tensor:
        """Return the embeddings of the positions from the newest behavior on, ``[s, h, P]``."""
        at = torch.arange(found.mask.shape[1], device=found.mask.device)
        from_newest = found.mask.sum(1, keepdim=True) - 1 - at
        embedded: Tensor = self.positions(from_newest.clamp(0, self.config.n_positions - 1))
        return embedded
