"""Requests of which several stand in one walk of a history, and the same requests one by one."""

from typing import NamedTuple

import torch
from seen import make_seen

from models.reading import Behaviors, Seen

DIM, N_CANDIDATES = 6, 3
_LENGTHS = [7, 1, 0, 5]  # of the walks; one of a user without history
_REQUESTS = [(0, 7), (0, 3), (1, 1), (3, 5), (0, 3), (2, 0), (3, 0), (3, 4)]  # walk, behaviors


class Walking(NamedTuple):
    """The same requests twice, and the walks alone."""

    together: Seen
    alone: list[Seen]
    walks: Behaviors


def behaviors(lengths: list[int]) -> Behaviors:
    """Return random behaviors, random numbers behind the mask too."""
    shape = (len(lengths), max(*lengths, 1))
    return Behaviors(
        torch.randn(*shape, DIM),
        torch.arange(shape[1]) < torch.tensor(lengths)[:, None],
        torch.zeros(shape, dtype=torch.int64),
        torch.zeros(shape, dtype=torch.int64),
    )


def make_walking(seed: int) -> Walking:
    """Return eight requests of four walks."""
    torch.manual_seed(seed)
    walks = behaviors(_LENGTHS)
    candidates = torch.randn(len(_REQUESTS), N_CANDIDATES, DIM)
    triggers = torch.randn(len(_REQUESTS), DIM)
    walk_of = torch.tensor([walk for walk, _ in _REQUESTS])
    lengths = torch.tensor([length for _, length in _REQUESTS])
    n_steps = walks.mask.shape[1]
    mask = torch.arange(n_steps) < lengths[:, None]
    at = (walk_of[:, None] * n_steps + torch.arange(n_steps)) * mask
    windows = Behaviors(*(column.flatten(0, 1)[at] for column in walks))._replace(mask=mask)
    has = torch.ones(len(_REQUESTS), dtype=torch.bool)
    asked = {"trigger": triggers, "has_trigger": has}
    together = make_seen(candidates, windows, walk=walks, walk_at=at, **asked)
    alone = []
    for i, (walk, length) in enumerate(_REQUESTS):
        # A row of padding, where there is nothing, is what a batch of one such request holds.
        own = Behaviors(*(column[walk, None, : max(length, 1)] for column in walks))
        own = own._replace(mask=own.mask & (length > 0))
        its = {name: column[i, None] for name, column in asked.items()}
        alone.append(make_seen(candidates[i, None], own, **its))
    return Walking(together, alone, walks)
