"""Requests as rows of the embedding tables: what the composed model takes."""

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor


class BehaviorRows(NamedTuple):
    """Behaviors as rows of the tables, oldest first, padded at the end."""

    items: Tensor  # [s, t]
    categories: Tensor  # [s, t]
    types: Tensor  # [s, t]
    ages_ms: Tensor  # [s, t] from the behavior to the request
    mask: Tensor  # [s, t] True where there is a behavior


class RequestBatch(NamedTuple):
    """Requests as rows of the tables; ``s`` requests, ``n`` candidates."""

    behaviors: BehaviorRows  # [s, t]
    candidate_items: Tensor  # [s, n]
    candidate_categories: Tensor  # [s, n]
    candidate_prices: Tensor  # [s, n] buckets, 0 where the price is not known
    candidate_mask: Tensor  # [s, n] True where there is a candidate
    users: Tensor  # [s] rows
    pages: Tensor  # [s] bucket of the page, 0 where it has none
    hours: Tensor  # [s] of the day, UTC
    weekdays: Tensor  # [s] 0 for Thursday, on which the epoch began
    triggers: Tensor  # [s] rows of the items that the users came from
    trigger_categories: Tensor  # [s]
    trigger_mask: Tensor  # [s] True where there is a trigger
    trigger_behaviors: BehaviorRows | None = None  # [s, h] of the trigger's category
    walk: BehaviorRows | None = None  # [u, l] parts of histories, of which behaviors are windows
    walk_at: Tensor | None = None  # [s, t] where each behavior stands in the flattened walk
    found: BehaviorRows | None = None  # [s, g, h] of the candidates' categories
    group: Tensor | None = None  # [s, n] which of the g each candidate's is
    negative_items: Tensor | None = None  # [s, t], of the walk if there is one; in training
    negative_categories: Tensor | None = None  # like the items
    clicked: Tensor | None = None  # [s, n] True where a candidate was clicked; in training

    def to(self, device: torch.device) -> Self:
        """Return the batch on a device."""
        return type(self)(*(_moved(column, device) for column in self))


def _moved(column: Any, device: torch.device) -> Any:
    if isinstance(column, BehaviorRows):
        return BehaviorRows(*(tensor.to(device) for tensor in column))
    return None if column is None else column.to(device)
