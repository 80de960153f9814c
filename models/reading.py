"""The seam between the composed model and its readers: what a reader sees, and what it gives back.

A reader turns what is known of a request into an interest vector of each candidate. It reads ids
only, through the embeddings of the composition, so that no reader has a state of its own.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn


class Behaviors(NamedTuple):
    """Behaviors of requests, oldest first, padded at the end.

    The leading dimensions are ``[s, t]``; those of a candidate search ``[s, g, t]``.
    """

    keys: Tensor  # [s, t, D] embedded
    mask: Tensor  # [s, t] True where there is a behavior
    types: Tensor  # [s, t] codes of the event types
    ages_ms: Tensor  # [s, t] from the behavior to the request; never negative


class Seen(NamedTuple):
    """Everything that a reader may read of ``s`` requests with ``n`` candidates each.

    What a composition does not have is a tensor of width 0 or None.
    """

    candidates: Tensor  # [s, n, D]
    candidate_mask: Tensor  # [s, n] True where there is a candidate
    behaviors: Behaviors  # the newest of the user's ring
    request: Tensor  # [s, R] user and context: user id, page, hour, weekday
    trigger: Tensor  # [s, D] the item that the user came from, zeros without one; [s, 0] if unread
    has_trigger: Tensor  # [s] bool
    same_category_as_trigger: Tensor  # [s, n] bool; an unknown category is the same as nothing
    same: Tensor  # [s, t, n, 2] whether item, category are the candidate's; [s, t, n, 0] if unread
    same_as_trigger: Tensor  # [s, t, 1, 2] likewise of the trigger; [s, t, 1, 0] if unread
    trigger_behaviors: Behaviors | None  # sub-sequence of the trigger's category, [s, h]
    walk: Behaviors | None  # [u, l] parts of histories, of which ``behaviors`` are windows
    walk_at: Tensor | None  # [s, t] where each behavior stands in the flattened walk; 0 if masked
    found: Behaviors | None  # sub-sequences of the candidates' categories, [s, g, h]
    group: Tensor | None  # [s, n] which of the g each candidate's is
    negatives: Tensor | None  # [s, t, D], of the walk if there is one: not done; in training only
    clicked: Tensor | None  # [s, n] True where a candidate was clicked; in training only


class Reading(NamedTuple):
    """What a reader found.

    Attributes:
        interest: Of each candidate, ``[s, n, interest_dim]``.
        loss: The reader's own loss, a scalar to be added to the click loss; None for none.
        logits: What it adds to the logit of each candidate, ``[s, n]``; None for nothing.
    """

    interest: Tensor
    loss: Tensor | None = None
    logits: Tensor | None = None


@dataclass(frozen=True)
class ReaderInputs:
    """What the composition offers to a reader.

    Attributes:
        dim: Width D of an embedded behavior, candidate or trigger.
        request_dim: Width R of what is known of user and context.
        n_types: Event types, 0 when none are told apart.
        history_length: Newest behaviors to attend to. A recurrent reader gets more than these: its
            recurrence begins at an event that many requests share, see ``CtrConfig.restart_every``.
        trigger: Whether the reader is to attend with the trigger too ("+TRA" of the DEI2N paper).
        item_dim: Of D, the width of the item's part, which comes first; the rest is the category's.
    """

    dim: int
    request_dim: int
    n_types: int
    history_length: int = 100
    trigger: bool = False
    item_dim: int = 0


class Reader(nn.Module, ABC):
    """A short-term reader of behaviors.

    Attributes:
        searches_trigger: Whether it reads the sub-sequence of the trigger's category.
        searches_candidates: Whether it reads the sub-sequences of the candidates' categories.
        compares: Whether it is to be told which behaviors are of the candidate's item and category.
        wants_negatives: Whether training is to draw what was not done beside each behavior.
        wants_clicks: Whether training is to tell which candidates were clicked.
    """

    searches_trigger: ClassVar[bool] = False
    searches_candidates: ClassVar[bool] = False
    compares: bool = False
    wants_negatives: bool = False
    wants_clicks: bool = False

    @property
    @abstractmethod
    def interest_dim(self) -> int:
        """Width of the interest of a candidate."""

    @abstractmethod
    def forward(self, seen: Seen) -> Reading:
        """Read requests."""

    def attention(self, seen: Seen) -> Tensor | None:
        """Return how much each candidate attends to each behavior; None if it does not.

        The weights are ``[s, t, n]``, 0 at masked behaviors, each reader's on a scale of its own.
        """
        del seen
        return None

    def trigger_probability(self, seen: Seen) -> Tensor | None:
        """Return how far each user follows the trigger, 0 without one, ``[s]``; None if unsaid."""
        del seen
        return None


def age_buckets(ages_ms: Tensor, n_ages: int) -> Tensor:
    """Return the bucket of each age: doublings of a second, in [0, n_ages)."""
    seconds = ages_ms.to(torch.float32) / 1000.0
    return torch.log2(1.0 + seconds).long().clamp_max(max(n_ages - 1, 0))
