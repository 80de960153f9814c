"""What a reader sees, made by hand with readable defaults."""

from typing import Any

import torch
from torch import Tensor

from models.reading import Behaviors, Seen


def make_seen(candidates: Tensor, behaviors: Behaviors, **others: Any) -> Seen:
    """Return what a reader sees of requests; nothing but candidates and behaviors by default."""
    s, n, dim = candidates.shape
    nothing: dict[str, Any] = {
        "candidate_mask": torch.ones(s, n, dtype=torch.bool),
        "request": torch.zeros(s, 0),
        "trigger": torch.zeros(s, dim),
        "has_trigger": torch.zeros(s, dtype=torch.bool),
        "same_category_as_trigger": torch.zeros(s, n, dtype=torch.bool),
        "same": torch.zeros(s, behaviors.mask.shape[1], n, 0),
        "same_as_trigger": torch.zeros(s, behaviors.mask.shape[1], 1, 0),
        "trigger_behaviors": None,
        "walk": None,
        "walk_at": None,
        "found": None,
        "group": None,
        "negatives": None,
        "clicked": None,
    }
    return Seen(candidates=candidates, behaviors=behaviors, **(nothing | others))
