"""What the models that are made for triggers share: E_b^h, and the loss of a trigger's intent."""

import torch
from torch import Tensor, nn

from models.reading import Behaviors, Seen


def of_trigger(seen: Seen) -> Behaviors:
    """Return the sub-sequence of the trigger's category, ``[s, h]``; empty without a trigger."""
    found = seen.trigger_behaviors
    assert found is not None, "the reader searches the trigger's category"
    return found._replace(mask=found.mask & seen.has_trigger.unsqueeze(1))


def following(seen: Seen, logits: Tensor) -> Tensor:
    """Return the probability of following the trigger, 0 without one, ``[s]``.

    Args:
        seen: The requests.
        logits: Of following the trigger, and of not following it, ``[s, 2]``.
    """
    return torch.softmax(logits, -1)[:, 0] * seen.has_trigger


def category_loss(seen: Seen, logits: Tensor, among: Tensor) -> Tensor:
    """Return the loss of telling whether a candidate is of the trigger's category, a scalar.

    The mean of the log loss over candidates of requests with a trigger; 0 if there is none. One
    prediction a request, as none of the networks in question sees the candidate.

    Args:
        seen: The requests.
        logits: Of following the trigger, and of not following it, ``[s, 2]``.
        among: The candidates in question, ``[s, n]``.
    """
    real = among & seen.has_trigger.unsqueeze(1)
    same = seen.same_category_as_trigger & real
    yes, no = nn.functional.log_softmax(logits, -1).unbind(-1)
    n_real, n_same = real.sum(1), same.sum(1)
    total = -(yes * n_same + no * (n_real - n_same)).sum()
    loss: Tensor = total / n_real.sum().clamp_min(1)
    return loss
