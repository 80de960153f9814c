"""DMIN: deep multi-interest network (Xiao et al., CIKM 2020).

The paper's body could not be read: this follows published code (the DMIN repository), with its
mistakes mended. Symbols: x_j behavior (``keys``), z_j refined behavior, I_hj what head h makes of
it, p_j position, e_t the candidate.

* Behavior refiner: causal multi-head self-attention over the behaviors, residual, normalisation;
  then a feed-forward network with residual, D -> 2 D (relu) -> D. A refined behavior is made to
  tell the next one from what was not done, as the states of DIEN are (``next_behavior_loss``).
* Multi-interest extractor: self-attention over the z_j of which each head goes its own way: its
  output is brought to width D, then residual, normalisation and a feed-forward network. A DIN unit
  of each head attends its I_hj with the candidate, softmax over the behaviors; the attended sums of
  all heads are the interests. What a unit compares with the I_hj is normalised as they are.
* The sum of the behaviors and its product with the candidate are returned as well.

Mended from published code: scores are divided by the root of a head's width, not of D; padding is
not attended to; the auxiliary loss is averaged over real steps, not over padding.

Other deviations: the units have relu inside and normalised queries; with sigmoid, and a candidate
as small as embeddings begin, all behaviors weighed alike and it stayed so. No biases of queries,
keys and values. The auxiliary loss takes the inner product of z_j and x_j+1, where published code
has a network; its weight there is 1. A position is counted from the newest behavior and enters the
first layer of the unit; there it is joined to the query, which is projected. In the extractor a
behavior attends to later ones too: they are the user's past. An empty history gives zeros.

With a trigger (DMIN+TRA of the DEI2N repository): a second unit of each head attends with the
trigger; its sums join, zeros without a trigger. The trigger's embedding joins as well, which that
repository has in DIEN+TRA only, and the products of its sums with the candidate, which are ours.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.din import ActivationUnit
from models.next_behavior import auxiliary_loss
from models.pooling import pooled
from models.reading import Reader, ReaderInputs, Reading, Seen
from models.self_attention import SelfAttention, attention_heads, shared_width
from models.value_ranges import Count, Rate


@dataclass(frozen=True)
class DminConfig:
    """Sizes of a DMIN.

    Attributes:
        refiner_heads: Heads H_R of the behavior refiner.
        interest_heads: Heads H_E of the multi-interest extractor: interests of a user. Published
            code has 4; each costs as much as a DIN.
        attention_hidden: Hidden widths of the attention units.
        auxiliary_weight: Of the loss of the refined behaviors, 0: none.
    """

    refiner_heads: Count = 4
    interest_heads: Count = 2
    attention_hidden: tuple[Count, Count] = (36, 16)
    auxiliary_weight: Rate = 0.1


class FeedForward(nn.Module):
    """x + W_2 relu(W_1 x), the hidden layer twice as wide.

    Args:
        dim: Width of x.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, 2 * dim), nn.ReLU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape."""
        moved: Tensor = x + self.layers(x)
        return moved


class InterestHead(nn.Module):
    """One head of the extractor: its behaviors, attended by candidate and trigger.

    Args:
        width: Of the head's output.
        inputs: What the composition offers.
        hidden: Hidden widths of the attention units.
    """

    def __init__(self, width: int, inputs: ReaderInputs, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.out = nn.Linear(width, inputs.dim, bias=False)
        self.norm = nn.LayerNorm(inputs.dim)
        self.feed_forward = FeedForward(inputs.dim)
        self.positions = nn.Embedding(inputs.history_length, hidden[0])
        nn.init.normal_(self.positions.weight, std=0.1)
        self.unit = ActivationUnit(inputs.dim, hidden, "softmax", "relu")
        self.trigger_unit = None
        if inputs.trigger:
            self.trigger_unit = ActivationUnit(inputs.dim, hidden, "softmax", "relu")

    def keys(self, head: Tensor, refined: Tensor) -> Tensor:
        """Return the I_hj of the head's output ``[s, t, width]``, ``[s, t, D]``."""
        moved: Tensor = self.feed_forward(self.norm(refined + self.out(head)))
        return moved


class DminReader(Reader):
    """Several interests, each attended by the candidate.

    Args:
        config: Sizes.
        inputs: What the composition offers.

    Raises:
        ConfigurationError: The width of a behavior is not a multiple of the heads.
    """

    def __init__(self, config: DminConfig, inputs: ReaderInputs) -> None:
        super().__init__()
        self.config = config
        self.dim = dim = inputs.dim
        self.attends_trigger = inputs.trigger
        self.wants_negatives = config.auxiliary_weight > 0
        hidden = (config.attention_hidden[0], config.attention_hidden[1])
        self.refiner = SelfAttention(dim, config.refiner_heads, causal=True)
        self.feed_forward = FeedForward(dim)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.query_norm = nn.LayerNorm(dim)
        width = shared_width(dim, config.interest_heads)
        self.heads = nn.ModuleList(
            InterestHead(width, inputs, hidden) for _ in range(config.interest_heads)
        )

    @property
    def interest_dim(self) -> int:
        """Width of sum, product, interests, and of the trigger, its interests and products."""
        n = self.config.interest_heads
        return self.dim * (2 + n + self.attends_trigger * (1 + 2 * n))

    def forward(self, seen: Seen) -> Reading:
        """Read requests; with the loss of the refined behaviors where there are negatives."""
        candidates, mask = seen.candidates, seen.behaviors.mask
        refined = self._refined(seen)
        places = self._places(mask)
        query = self.query_norm(candidates)
        trigger = self.query_norm(seen.trigger).unsqueeze(1)
        total = pooled(seen.behaviors, "sum").unsqueeze(1)
        parts = [total.expand_as(candidates), total * candidates]
        if self.attends_trigger:
            parts.append(seen.trigger.unsqueeze(1).expand_as(candidates))
        for head, keys in self._interests(refined, mask):
            bias = head.positions(places)
            parts.append(head.unit(query, keys, mask, bias))
            if head.trigger_unit is not None:
                attended = head.trigger_unit(trigger, keys, mask, bias)
                attended = attended * seen.has_trigger[:, None, None]
                parts += [attended.expand_as(candidates), attended * candidates]
        return Reading(torch.cat(parts, -1), self._auxiliary_loss(seen, refined))

    def attention(self, seen: Seen) -> Tensor:
        """Return the mean of the heads' weights, ``[s, t, n]``."""
        mask = seen.behaviors.mask
        places = self._places(mask)
        query = self.query_norm(seen.candidates)
        weights = [
            head.unit.weights(query, keys, mask, head.positions(places))
            for head, keys in self._interests(self._refined(seen), mask)
        ]
        return torch.stack(weights).mean(0)

    def _refined(self, seen: Seen) -> Tensor:
        """Return the z_j, ``[s, t, D]``."""
        refined: Tensor = self.feed_forward(self.refiner(seen.behaviors.keys, seen.behaviors.mask))
        return refined

    def _interests(self, refined: Tensor, mask: Tensor) -> list[tuple[InterestHead, Tensor]]:
        """Return each head and its I_hj, ``[s, t, D]``."""
        outputs = attention_heads(self.qkv(refined), mask, len(self.heads))
        found = []
        for head, output in zip(self.heads, outputs.chunk(len(self.heads), -1), strict=True):
            assert isinstance(head, InterestHead)
            found.append((head, head.keys(output, refined)))
        return found

    def _places(self, mask: Tensor) -> Tensor:
        """Return the position of each behavior from the newest one on, ``[s, t]``."""
        at = torch.arange(mask.shape[1], device=mask.device)
        return (mask.sum(1, keepdim=True) - 1 - at).clamp_min(0)

    def _auxiliary_loss(self, seen: Seen, refined: Tensor) -> Tensor | None:
        if seen.negatives is None or not self.wants_negatives:
            return None
        before = refined[:, :-1]  # of each behavior but the first, what is known before it
        loss = auxiliary_loss(before, seen.behaviors, seen.negatives)
        return self.config.auxiliary_weight * loss
