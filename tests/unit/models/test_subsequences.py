"""Sub-sequences offline: of any user, category and position what plain loops find."""

import numpy as np
import pytest

from interest_center.core.layout import StateConfig
from models.subsequences import Subsequences

LONGEST, HASHED = 100, 2**63 + 9


def plain(categories: list[int], position: int, state: StateConfig) -> dict[int, list[int]]:
    """Return the positions kept of each category after so many events of one user."""
    kept: dict[int, list[int]] = {}
    for at, category in enumerate(categories[:position]):
        if not category:
            continue
        if category not in kept and len(kept) == state.n_subsequences:
            del kept[min(kept, key=lambda one: kept[one][-1])]
        kept.setdefault(category, []).append(at)
    return {one: found[-state.n_subsequence_behaviors :] for one, found in kept.items()}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_subsequences", [1, 3, 64])
def test_equals_plain_loops_at_every_position(seed: int, n_subsequences: int) -> None:
    rng = np.random.default_rng(seed)
    state = StateConfig(n_subsequences=n_subsequences, n_subsequence_behaviors=4)
    lengths = [0, 1, 40, 0, 60]
    starts = np.concatenate(([0], np.cumsum(lengths)))
    categories = rng.choice(np.array([0, 1, 2, 3, 4, 5, HASHED], np.uint64), starts[-1])
    index = Subsequences.of(starts, categories, state)
    wanted = [
        (user, category, position)
        for user, length in enumerate(lengths)
        for position in range(length + 1)
        for category in (0, 1, 2, 3, 4, 5, 7, HASHED)
    ]
    users, _, positions = (np.array(column) for column in zip(*wanted, strict=True))
    ids = np.array([category for _, category, _ in wanted], np.uint64)
    for longest in (2, LONGEST):
        first, n = index.find(users, ids, positions, longest)
        for (user, category, position), begin, length in zip(wanted, first, n, strict=True):
            own = categories[starts[user] : starts[user + 1]].tolist()
            expected = plain(own, position, state).get(category, [])[-longest:]
            found = index.order[begin : begin + length] - starts[user]
            assert found.tolist() == expected, (user, category, position)


def test_without_events_nothing_is_found() -> None:
    nothing = np.zeros(0, np.uint64)
    index = Subsequences.of(np.zeros(3, np.int64), nothing, StateConfig())
    first, n = index.find(np.array([0, 1]), np.array([1, 2], np.uint64), np.array([0, 0]), LONGEST)
    assert (first.tolist(), n.tolist()) == ([0, 0], [0, 0])
