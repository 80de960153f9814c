"""DEI2N: deep evolutional instant interest network (Xiao et al. 2024), its five layers.

Paper symbols: E_b ``behaviors.keys``, E_b^h ``trigger_behaviors.keys``, E_t and E_t^h the interval
embeddings of both (``times``), e_tr ``trigger``, e_ta ``candidates``, [e_u; e_c] ``request``;
p_tr, p_ta ``trigger_probability`` and 1 - it; e_tr^s, e_ta^s, e_mix^s (eq 5) the soft part, e_ta^h
the hard part, e^i (eq 6) ``interaction``. Time intervals and the attention unit are in
``models/time_attention.py``, the self-attention block in ``models/self_attention.py``.

Deviations from the paper:

* W^Q of eq 3 does not fit the width of [E_b; E_t]; like published code we project [E_b; E_t] to
  d_model first, and the residual connection is of that projection.
* Intervals fall into logarithmic buckets by default; the paper's are ``spacing="linear"`` with
  ``n_intervals=86401``.
* User profile and context are whatever the composition knows of the request: user, page, hour,
  weekday. The composition gives them to the MLP too; the paper gives it the profile only.
* E_b^h is as long as the composition searches (the paper has 10 or 20).
* Widths not printed: those of the attention unit. Ours for the interaction layer are 2 D and D, as
  the paper's 144 and 72 are for its D; UI2M's are the paper's.
* p_tr has a loss of its own, weight .1, as it has in DIHN and DIAN: of the candidates that were
  clicked it is to tell which are of the trigger's category. Without it nothing says which of p_tr
  and p_ta is which: the MLP knows the page, and p_tr may as well rise with it.
* Without a trigger, which the paper does not have: p_tr is 0, e_tr is zeros and E_b^h is empty.

The ablations of the paper's table 3 are switches. What takes the place of a layer, the paper does
not say: without UI2M e_tr^s and e_ta^s stand side by side (as in published code); without the soft
part there is nothing left for UI2M to weigh, and it goes too; without the hard part E_b^h still
enters UI2M.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interest_center.core.errors import ConfigurationError
from models.layers import relu_layers
from models.reading import Behaviors, Reader, ReaderInputs, Reading, Seen
from models.self_attention import SelfAttention
from models.time_attention import IntervalTable, Spacing, TimeAwareUnit
from models.trigger_intent import category_loss, following, of_trigger
from models.value_ranges import Count, Dropout, Rate, Widths


@dataclass(frozen=True)
class Dei2nConfig:
    """Sizes and parts of a DEI2N.

    Attributes:
        time_dim: Width d_time of an interval embedding.
        spacing: Buckets of an interval, see ``interval_rows``.
        n_intervals: How many.
        n_heads: Heads H_R of the self-attention.
        dropout: Share of the self-attention's output left out in training.
        attention_hidden: Hidden widths of the attention units.
        instant_hidden: Hidden widths of the user instant interest modeling layer.
        interaction_hidden: Widths of the interaction layer; the last is that of its output.
        ui2m: Whether there is a user instant interest modeling layer; the switches are table 3's.
        tim: Whether time intervals are told.
        il: Whether there is an interaction layer.
        uhim: Whether there is a user hard interest modeling layer.
        usim: Whether there is a user soft interest modeling layer.
        same: Whether the soft part's attention units are told which behaviors are of the item and
            of the category that asks; belongs to no paper, as in ``DinConfig``.
        intent_rate: Weight of the loss of p_tr; 0: the paper's, which has none.
    """

    time_dim: Count = 16
    spacing: Spacing = "log"
    n_intervals: Count = 48
    n_heads: Count = 2
    dropout: Dropout = 0.1
    attention_hidden: tuple[Count, Count] = (36, 16)
    instant_hidden: Widths = (72, 36)
    interaction_hidden: Widths = (64, 32)
    ui2m: bool = True
    tim: bool = True
    il: bool = True
    uhim: bool = True
    usim: bool = True
    same: bool = False
    intent_rate: Rate = 0.1

    def __post_init__(self) -> None:
        """Refuse a model without any part.

        Raises:
            ConfigurationError: Soft, hard and interaction part are all left out.
        """
        if not (self.il or self.uhim or self.usim):
            raise ConfigurationError(
                "a DEI2N without soft part, hard part and interaction layer finds nothing",
                hint="leave out at most two of usim, uhim, il",
            )


class _SoftInterest(nn.Module):
    """User soft interest modeling layer: self-attention, then candidate and trigger attend."""

    def __init__(self, config: Dei2nConfig, dim: int, time_dim: int) -> None:
        super().__init__()
        hidden = (config.attention_hidden[0], config.attention_hidden[1])
        self.mix = nn.Linear(dim + time_dim, dim)
        self.refine = SelfAttention(dim, config.n_heads, config.dropout)
        n_facts = 2 if config.same else 0
        self.target_unit = TimeAwareUnit(dim, time_dim, hidden, n_facts)
        self.trigger_unit = TimeAwareUnit(dim, time_dim, hidden, n_facts)

    def forward(self, behaviors: Behaviors, times: Tensor | None) -> Tensor:
        """Return the refined behaviors e_u^s (eq 2-3), ``[s, t, D]``."""
        keys = behaviors.keys
        mixed = self.mix(keys if times is None else torch.cat((keys, times), -1))
        refined: Tensor = self.refine(mixed, behaviors.mask)
        return refined


class Dei2nReader(Reader):
    """Soft, hard and interaction part, the soft one weighed by the user's instant interest.

    Args:
        config: Sizes and parts.
        inputs: What the composition offers.
    """

    searches_trigger = True

    def __init__(self, config: Dei2nConfig, inputs: ReaderInputs) -> None:
        super().__init__()
        self.config = config
        self.compares = config.same
        self.dim = dim = inputs.dim
        time_dim = config.time_dim if config.tim else 0
        self.times = None
        if time_dim:
            self.times = IntervalTable(time_dim, config.n_intervals, config.spacing)
        self.soft = _SoftInterest(config, dim, time_dim) if config.usim else None
        self.instant = None
        if config.ui2m and config.usim:
            self.instant = relu_layers(inputs.request_dim + 2 * dim, config.instant_hidden)
            self.instant.append(nn.Linear(config.instant_hidden[-1], 2))
        self.wants_clicks = self.instant is not None and config.intent_rate > 0
        self.hard_unit = None
        if config.uhim:
            hidden = (config.attention_hidden[0], config.attention_hidden[1])
            self.hard_unit = TimeAwareUnit(dim, time_dim, hidden)
        self.interaction = relu_layers(3 * dim, config.interaction_hidden) if config.il else None

    @property
    def interest_dim(self) -> int:
        """Width of [e_mix^s, e_ta^h, e^i], of e_tr^s and e_ta^s in the place of the first."""
        soft = 0 if self.soft is None else 1 if self.instant is not None else 2
        hard = self.hard_unit is not None
        return self.dim * (soft + hard) + (self.config.interaction_hidden[-1] * self.config.il)

    def forward(self, seen: Seen) -> Reading:
        """Read requests; with the loss of p_tr where it is known what was clicked."""
        parts = []
        logits = self._instant_logits(seen)
        if self.soft is not None:
            p = None if logits is None else following(seen, logits)
            parts += self._soft(self.soft, seen, p)
        if self.hard_unit is not None:
            found = of_trigger(seen)
            times = self._times(found)
            parts.append(self.hard_unit(seen.candidates, found.keys, found.mask, times))
        if self.interaction is not None:
            trigger = seen.trigger.unsqueeze(1)
            both = (seen.candidates, trigger.expand_as(seen.candidates), trigger * seen.candidates)
            parts.append(self.interaction(torch.cat(both, -1)))
        loss = None
        if logits is not None and seen.clicked is not None and self.wants_clicks:
            loss = self.config.intent_rate * category_loss(seen, logits, seen.clicked)
        return Reading(torch.cat(parts, -1), loss)

    def trigger_probability(self, seen: Seen) -> Tensor | None:
        """Return p_tr (eq 1), 0 without a trigger, ``[s]``; None without the layer."""
        logits = self._instant_logits(seen)
        return None if logits is None else following(seen, logits)

    def _instant_logits(self, seen: Seen) -> Tensor | None:
        """Return the logits of p_tr and p_ta, ``[s, 2]``; None without the layer."""
        if self.instant is None:
            return None
        found = of_trigger(seen)
        done = (found.keys * found.mask.unsqueeze(-1)).sum(1)
        logits: Tensor = self.instant(torch.cat((seen.request, seen.trigger, done), -1))
        return logits

    def attention(self, seen: Seen) -> Tensor | None:
        """Return the weights of the soft part, mixed like what they weigh, ``[s, t, n]``.

        Without UI2M nothing weighs them: they count alike.
        """
        if self.soft is None:
            return None
        times = self._times(seen.behaviors)
        keys, mask = self.soft(seen.behaviors, times), seen.behaviors.mask
        by_target = self.soft.target_unit.weights(seen.candidates, keys, mask, times, seen.same)
        by_trigger = self.soft.trigger_unit.weights(
            seen.trigger.unsqueeze(1), keys, mask, times, seen.same_as_trigger
        )
        p = self.trigger_probability(seen)
        p = (seen.has_trigger / 2 if p is None else p)[:, None, None]
        return p * by_trigger + (1 - p) * by_target

    def _soft(self, soft: _SoftInterest, seen: Seen, p: Tensor | None) -> list[Tensor]:
        """Return e_mix^s (eq 4-5), or e_tr^s and e_ta^s without UI2M, each ``[s, n, D]``."""
        times = self._times(seen.behaviors)
        keys, mask = soft(seen.behaviors, times), seen.behaviors.mask
        of_target = soft.target_unit(seen.candidates, keys, mask, times, seen.same)
        of_trigger = soft.trigger_unit(
            seen.trigger.unsqueeze(1), keys, mask, times, seen.same_as_trigger
        )
        if p is None:
            of_trigger = of_trigger * seen.has_trigger[:, None, None]
            return [of_trigger.expand_as(of_target), of_target]
        p = p[:, None, None]
        return [p * of_trigger + (1 - p) * of_target]

    def _times(self, behaviors: Behaviors) -> Tensor | None:
        return None if self.times is None else self.times(behaviors.ages_ms)
