"""DIAN: deep intention-aware network (Xia et al., WWW 2023), for triggers.

Only the abstract could be read: a trigger-aware network for the explicit intent, a trigger-free one
for the latent intent, mixed by the user's intent. The rest follows published code of others (the
DEI2N repository; DIAN's authors released none). Symbols: p ``trigger_probability``, the mixture
p aware + (1 - p) free.

* Intent: the request, the trigger, the mean of the behaviors and their sum times the trigger,
  through a network. Its loss, weight .1, has the label "the candidate is of the trigger's category"
  and is computed only where there is a trigger.
* Trigger-aware network: four multi-head attentions, of candidate and of trigger over the behaviors
  and over those of the trigger's category, with candidate and trigger.
* Trigger-free network: multi-head attention of the candidate over the behaviors, with the
  candidate. Published code gives it the sub-sequence of the trigger's category too, which is not
  free of the trigger.

Mended from published code: the loss compares with the label of each sample, not with rows of the
batch; no mean or attention counts padding. Ours: published code mixes two probabilities, and weighs
the trigger-free one with p; here what the two networks found is mixed, the composition's one MLP
follows, and p weighs the trigger-aware network, whose candidates its loss calls alike. Without a
trigger p is 0. Widths are ours.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.layers import masked_softmax, relu_layers, weighted_sums
from models.reading import Reader, ReaderInputs, Reading, Seen
from models.self_attention import shared_width
from models.trigger_intent import category_loss, following, of_trigger
from models.value_ranges import Count, Rate, Widths


@dataclass(frozen=True)
class DianConfig:
    """Sizes of a DIAN.

    Attributes:
        n_heads: Heads of each attention; they share the width of an embedding.
        network_hidden: Widths of the trigger-aware and of the trigger-free network.
        intent_hidden: Hidden widths of the intent network.
        intent_rate: Weight of its loss.
    """

    n_heads: Count = 4
    network_hidden: Widths = (64, 32)
    intent_hidden: Widths = (72, 36)
    intent_rate: Rate = 0.1


class QueryAttention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017) of queries over keys that they share.

    Few queries meet many keys: each query is brought into the space of the keys, and what it found
    is projected, so that no key is.

    Args:
        dim: Width D of queries and keys.
        n_heads: Heads; D must be a multiple of them.

    Raises:
        ConfigurationError: D is not a multiple of the heads.
    """

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        shared_width(dim, n_heads)
        self.n_heads = n_heads
        self.of_query = nn.Linear(dim, dim, bias=False)
        self.of_key = nn.Linear(dim, dim, bias=False)
        self.of_value = nn.Linear(dim, dim, bias=False)
        self.out = nn.Linear(dim, dim, bias=False)
        # Embeddings begin small: with the usual first weights all keys would weigh alike, and the
        # weights, which then move nothing, would not learn.
        for projection in (self.of_query, self.of_key):
            nn.init.normal_(projection.weight)

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Return what each query found.

        Args:
            queries: ``[s, n, D]``.
            keys: ``[s, t, D]``.
            mask: True where a key is real, ``[s, t]``.

        Returns:
            ``[s, n, D]``; zeros where no key is real.
        """
        weights = self.weights(queries, keys, mask)  # [s, t, n, heads]
        found = weighted_sums(weights.flatten(2), keys)
        found = found.view(*queries.shape[:2], self.n_heads, -1)
        values = torch.einsum("snid,iwd->sniw", found, self._of_head(self.of_value))
        attended: Tensor = self.out(values.flatten(2))
        return attended

    def weights(self, queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Return the weights of each head, ``[s, t, n, heads]``."""
        s, n, dim = queries.shape
        of_key = self._of_head(self.of_key)
        by_head = self.of_query(queries).view(s, n, self.n_heads, -1)
        asked = torch.einsum("sniw,iwd->snid", by_head, of_key).reshape(s, n * self.n_heads, dim)
        scores = torch.bmm(keys, asked.transpose(1, 2)) / math.sqrt(of_key.shape[1])
        return masked_softmax(scores, mask.unsqueeze(-1), 1).view(s, -1, n, self.n_heads)

    def _of_head(self, projection: nn.Linear) -> Tensor:
        """Return the projection of each head, ``[heads, width, D]``."""
        return projection.weight.view(self.n_heads, -1, projection.in_features)


class DianReader(Reader):
    """Trigger-aware and trigger-free interest, mixed by the user's intent.

    Args:
        config: Sizes.
        inputs: What the composition offers.
    """

    searches_trigger = True

    def __init__(self, config: DianConfig, inputs: ReaderInputs) -> None:
        super().__init__()
        self.config = config
        dim = inputs.dim
        self.intent = relu_layers(inputs.request_dim + 3 * dim, config.intent_hidden)
        self.intent.append(nn.Linear(config.intent_hidden[-1], 2))
        self.target_recent, self.target_category, self.trigger_recent, self.trigger_category = (
            QueryAttention(dim, config.n_heads) for _ in range(4)
        )
        self.aware = relu_layers(6 * dim, config.network_hidden)
        self.free_recent = QueryAttention(dim, config.n_heads)
        self.free = relu_layers(2 * dim, config.network_hidden)

    @property
    def interest_dim(self) -> int:
        """Width of either network's output."""
        return self.config.network_hidden[-1]

    def forward(self, seen: Seen) -> Reading:
        """Read requests; with the loss of the intent in training."""
        logits = self._intent(seen)
        p = following(seen, logits)[:, None, None]
        interest = p * self._aware(seen) + (1 - p) * self._free(seen)
        loss = None
        if self.training:
            loss = self.config.intent_rate * category_loss(seen, logits, seen.candidate_mask)
        return Reading(interest, loss)

    def trigger_probability(self, seen: Seen) -> Tensor:
        """Return how far the user follows the trigger; 0 without one, ``[s]``."""
        return following(seen, self._intent(seen))

    def attention(self, seen: Seen) -> Tensor:
        """Return the weights over the behaviors, mean of heads and mixed like the networks."""
        keys, mask = seen.behaviors.keys, seen.behaviors.mask
        free = self.free_recent.weights(seen.candidates, keys, mask).mean(-1)
        by_target = self.target_recent.weights(seen.candidates, keys, mask).mean(-1)
        by_trigger = self.trigger_recent.weights(seen.trigger.unsqueeze(1), keys, mask).mean(-1)
        p = self.trigger_probability(seen)[:, None, None]
        return p * (by_target + by_trigger) / 2 + (1 - p) * free

    def _intent(self, seen: Seen) -> Tensor:
        """Return the logits of following and of not following the trigger, ``[s, 2]``."""
        mask = seen.behaviors.mask.unsqueeze(-1)
        done = (seen.behaviors.keys * mask).sum(1)
        mean = done / mask.sum(1).clamp_min(1)
        known = (seen.request, seen.trigger, mean, done * seen.trigger)
        logits: Tensor = self.intent(torch.cat(known, -1))
        return logits

    def _aware(self, seen: Seen) -> Tensor:
        """Return what the trigger-aware network finds, ``[s, n, width]``."""
        candidates, trigger = seen.candidates, seen.trigger.unsqueeze(1)
        recent, found = seen.behaviors, of_trigger(seen)
        of_trigger_alone = (
            trigger,
            self.trigger_recent(trigger, recent.keys, recent.mask),
            self.trigger_category(trigger, found.keys, found.mask),
        )
        parts = [
            candidates,
            self.target_recent(candidates, recent.keys, recent.mask),
            self.target_category(candidates, found.keys, found.mask),
            torch.cat(of_trigger_alone, -1).expand(-1, candidates.shape[1], -1),
        ]
        interest: Tensor = self.aware(torch.cat(parts, -1))
        return interest

    def _free(self, seen: Seen) -> Tensor:
        """Return what the trigger-free network finds, ``[s, n, width]``."""
        keys, mask = seen.behaviors.keys, seen.behaviors.mask
        attended = self.free_recent(seen.candidates, keys, mask)
        interest: Tensor = self.free(torch.cat((seen.candidates, attended), -1))
        return interest
