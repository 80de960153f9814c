"""The auxiliary loss of DIEN (Zhou et al., AAAI 2019, eq 6), which DMIN has too.

What is known before a behavior is made to tell it from one that was not done, by inner products. It
is the mean over real steps here; the paper adds up a user's steps, published code averages over
padding as well.
"""

from torch import Tensor, nn

from models.reading import Behaviors


def next_behavior_loss(done: Tensor, not_done: Tensor, real: Tensor) -> Tensor:
    """Return the mean of -log sigmoid(done) - log(1 - sigmoid(not_done)) over what is real.

    Eq 6 with another divisor, see the module; 0 where nothing is real.

    Args:
        done: Logits of the next behaviors, any shape.
        not_done: Logits of what was not done, of that shape.
        real: Which count, of that shape.
    """
    losses = nn.functional.softplus(-done) + nn.functional.softplus(not_done)
    return (losses * real).sum() / real.sum().clamp_min(1)


def auxiliary_loss(before: Tensor, behaviors: Behaviors, negatives: Tensor) -> Tensor:
    """Return the loss of behaviors but the first.

    Args:
        before: What is known before each behavior but the first, ``[s, t - 1, D]``.
        behaviors: ``[s, t]``.
        negatives: What was not done beside each, ``[s, t, D]``.
    """
    done, not_done = ((before * keys[:, 1:]).sum(-1) for keys in (behaviors.keys, negatives))
    return next_behavior_loss(done, not_done, behaviors.mask[:, 1:])
