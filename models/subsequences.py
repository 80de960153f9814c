"""The sub-sequences of categories as the center keeps them, at any position of a history.

The rules are those of ``interest_center/engine_scan.py``: the newest behaviors of each category,
so many categories a user; a new category evicts the one not updated for the longest, whose
behaviors are then forgotten.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import compiled
from interest_center.core.layout import StateConfig

Ints = NDArray[np.int64]
Ids = NDArray[np.uint64]

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Subsequences:
    """All sub-sequences of all users, searchable by position.

    Attributes:
        order: Events by user, category, position; ``[n]``, like the rest.
        first: Where in ``order`` the kept run of each begins: after an eviction it starts anew.
        evicted_at: Position of the event that evicted the run while this was its newest.
        positions: Position among the user's events.
        users: User of each, sorted.
        categories: Category of each, sorted within a user.
        n_kept: Behaviors kept of one category.
    """

    order: Ints
    first: Ints
    evicted_at: Ints
    positions: Ints
    users: Ints
    categories: Ids
    n_kept: int

    @classmethod
    def of(cls, starts: Ints, categories: Ids, state: StateConfig) -> Self:
        """Index the events of users.

        Args:
            starts: First event of each user, ``[n_users + 1]``.
            categories: Category of each event in arrival order, 0 for none, ``[n]``.
            state: How many categories, and behaviors of each, are kept.
        """
        n = len(categories)
        users = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        positions = np.arange(n) - starts[users]
        evicted_at = np.full(n, _NEVER, np.int64)
        _evict(starts, categories, state.n_subsequences, evicted_at)
        order = np.lexsort((positions, categories, users))
        order = order[categories[order] != 0]
        u, c = users[order], categories[order]
        gone = evicted_at[order]
        new = np.ones(len(order), np.bool_)
        new[1:] = (u[1:] != u[:-1]) | (c[1:] != c[:-1]) | (gone[:-1] != _NEVER)
        first = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
        return cls(order, first, gone, positions[order], u, c, state.n_subsequence_behaviors)

    def find(
        self, users: Ints, categories: Ids, positions: Ints, longest: int
    ) -> tuple[Ints, Ints]:
        """Return where in ``order`` the wanted behaviors begin, and how many there are.

        Args:
            users: Whose, ``[n]``.
            categories: Of which category, 0 finds nothing.
            positions: Only the user's events before this position are seen.
            longest: At most so many, the newest.
        """
        if not len(self.order):
            nothing = np.zeros(len(users), np.int64)
            return nothing, nothing
        end = _end_of(self.users, self.categories, self.positions, users, categories, positions)
        last = np.maximum(end - 1, 0)
        there = (end > 0) & (self.users[last] == users) & (self.categories[last] == categories)
        there &= (self.evicted_at[last] >= positions) & (categories != 0)
        begin = np.maximum(self.first[last], end - min(self.n_kept, longest))
        return np.where(there, begin, 0), np.where(there, end - begin, 0)


@compiled
def _end_of(
    sorted_users: Ints, sorted_categories: Ids, sorted_positions: Ints,
    users: Ints, categories: Ids, positions: Ints,
) -> Ints:  # fmt: skip
    """Return for each wanted (user, category, position) how many indexed events come before it."""
    ends = np.empty(users.shape[0], np.int64)
    for k in range(users.shape[0]):
        low, high = 0, sorted_users.shape[0]
        while low < high:
            middle = (low + high) >> 1
            if sorted_users[middle] != users[k]:
                before = sorted_users[middle] < users[k]
            elif sorted_categories[middle] != categories[k]:
                before = sorted_categories[middle] < categories[k]
            else:
                before = sorted_positions[middle] < positions[k]
            if before:
                low = middle + 1
            else:
                high = middle
        ends[k] = low
    return ends


@compiled
def _evict(starts: Ints, categories: Ids, n_kept: int, evicted_at: Ints) -> None:
    """Set, for the newest event of each run that is evicted, the position of the event that did."""
    kept = np.zeros(n_kept, np.uint64)
    newest = np.zeros(n_kept, np.int64)
    for user in range(starts.shape[0] - 1):
        n = 0
        for i in range(starts[user], starts[user + 1]):
            category = categories[i]
            if category == 0:
                continue
            slot = 0
            while slot < n and kept[slot] != category:
                slot += 1
            if slot == n and n == n_kept:
                slot = int(np.argmin(newest))
                evicted_at[newest[slot]] = i - starts[user]
            elif slot == n:
                n += 1
            kept[slot] = category
            newest[slot] = i
