"""Negative sampling by named policies: items that a user did not choose, beside one that it did.

``uniform`` draws every item of the pool alike, as the DIN and MIMN code does; ``popularity`` draws
an item as often as it is a positive in the pool, as the DIEN code does (it draws from the list of
reviews); ``category`` draws uniformly among the items of the positive's category, which belongs to
no paper. Where a policy has too few items for a user, the rest is drawn uniformly from the pool.

Deviations: the papers' code may draw the positive itself or what the user did before. Here no
negative of a positive is an item of the user's events before or at the positive's moment, the
positive included, and none is drawn twice for it. What the user does later may be drawn: at that
moment nobody knows. The pool is up to the caller; theirs is the whole log.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Draws for the items of positives, ``[n]``, so many items each: ``[n, k]``.
Draw = Callable[[np.random.Generator, Ints, int], Ints]

UNIFORM, POPULARITY, CATEGORY = POLICIES = ("uniform", "popularity", "category")
NO_ITEM = -1

_ROUNDS = 20
_AT_ONCE = 20_000


@dataclass(frozen=True)
class Policy:
    """How negatives are drawn.

    Attributes:
        name: One of ``POLICIES``.
        per_positive: How many for each positive.
    """

    name: str
    per_positive: int


@dataclass(frozen=True)
class Positives:
    """What negatives are drawn for, ``[n]`` each.

    Attributes:
        users: Code of the user, from 0.
        items: Code of the item, from 0.
        times_ms: When.
    """

    users: Ints
    items: Ints
    times_ms: Ints


class Done:
    """When each user first did something with each item.

    Args:
        users: Codes of the users of all events, from 0, ``[n_events]``.
        items: Codes of their items, from 0.
        times_ms: Their times.
        n_items: How many item codes there are.
    """

    def __init__(self, users: Ints, items: Ints, times_ms: Ints, n_items: int) -> None:
        self._n_items = n_items
        pairs = users * n_items + items
        order = np.lexsort((times_ms, pairs))
        first = np.ones(len(order), np.bool_)
        first[1:] = np.diff(pairs[order]) > 0
        self._pairs = pairs[order][first]
        self._times_ms = times_ms[order][first]

    def by(self, users: Ints, items: Ints, times_ms: Ints) -> Bools:
        """Tell whether a user did anything with an item before or at a time; all of one shape."""
        pairs = users * self._n_items + items
        place = np.minimum(np.searchsorted(self._pairs, pairs), len(self._pairs) - 1)
        done: Bools = (self._pairs[place] == pairs) & (self._times_ms[place] <= times_ms)
        return done


class Pool:
    """Items that negatives are drawn from.

    Args:
        items: Item codes of the events of the pool, each as often as it occurs, ``[n_events]``.
        chosen: Item codes of its positives, each as often as it was chosen, ``[n_positives]``.
        categories: Category code of each item code, ``[n_items]``.
    """

    def __init__(self, items: Ints, chosen: Ints, categories: Ints) -> None:
        self.items: Ints = np.unique(items)
        self._chosen = chosen
        self._categories = categories
        self._by_category = self.items[np.argsort(categories[self.items], kind="stable")]
        counts = np.bincount(categories[self.items], minlength=int(categories.max()) + 1)
        self._starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))

    def draws(self) -> dict[str, Draw]:
        """Return what draws by each policy."""
        return {UNIFORM: self.uniform, POPULARITY: self.popularity, CATEGORY: self.category}

    def uniform(self, rng: np.random.Generator, positives: Ints, n: int) -> Ints:
        """Draw any item, ``[n_positives, n]``."""
        return np.asarray(self.items[rng.integers(0, len(self.items), (len(positives), n))])

    def popularity(self, rng: np.random.Generator, positives: Ints, n: int) -> Ints:
        """Draw an item as often as it was chosen, ``[n_positives, n]``."""
        return np.asarray(self._chosen[rng.integers(0, len(self._chosen), (len(positives), n))])

    def category(self, rng: np.random.Generator, positives: Ints, n: int) -> Ints:
        """Draw from the category of each positive, ``[n_positives, n]``."""
        code = self._categories[positives]
        first, size = self._starts[code], self._starts[code + 1] - self._starts[code]
        place = first[:, None] + rng.integers(0, size[:, None], (len(positives), n))
        return np.asarray(self._by_category[place])


def draw_negatives(
    policy: Policy,
    pool: Pool,
    positives: Positives,
    done: Done,
    rng: np.random.Generator,
    on_drawn: Callable[[int], None] = lambda _: None,
) -> Ints:
    """Draw negatives; the same seed draws the same.

    Args:
        policy: How, and how many.
        pool: What to draw from; holds the item of every positive.
        positives: What to draw for.
        done: What users did; none of it is drawn for them once it is done.
        rng: Source of chance.
        on_drawn: Told the number of further positives that are finished, again and again.

    Returns:
        Item codes, ``[n_positives, per_positive]``; ``NO_ITEM`` where the user has done all of the
        pool.
    """
    drawn = np.full((len(positives.items), policy.per_positive), NO_ITEM, np.int64)
    for begin in range(0, len(drawn), _AT_ONCE):
        rows = slice(begin, begin + _AT_ONCE)
        part = Positives(positives.users[rows], positives.items[rows], positives.times_ms[rows])
        drawing = _Drawing(drawn[rows], part, done, rng)
        drawing.fill(pool.draws()[policy.name])
        drawing.fill(pool.uniform)
        drawing.search(pool.items)
        on_drawn(len(part.items))
    return drawn


@dataclass(frozen=True)
class _Drawing:
    """Fills rows of negatives, ``NO_ITEM`` where none stands yet, in place."""

    drawn: Ints
    positives: Positives
    done: Done
    rng: np.random.Generator

    def fill(self, draw: Draw) -> None:
        """Draw what lacks, throw away what must not be, and again, some rounds long."""
        for _ in range(_ROUNDS):
            rows = np.flatnonzero((self.drawn == NO_ITEM).any(axis=1))
            if not len(rows):
                return
            found = draw(self.rng, self.positives.items[rows], self.drawn.shape[1])
            old = self.drawn[rows]
            new = np.where(old == NO_ITEM, found, old)
            new[self._done(rows, new) | _repeated(new)] = NO_ITEM
            self.drawn[rows] = new

    def search(self, items: Ints) -> None:
        """Give the rows that still lack something all that there is; drawing finds it too rarely.

        Args:
            items: Items of the pool.
        """
        for row in np.flatnonzero((self.drawn == NO_ITEM).any(axis=1)):
            done = self._done(np.array([row]), items[None])[0]
            free = np.setdiff1d(items[~done], self.drawn[row])
            lacking = np.flatnonzero(self.drawn[row] == NO_ITEM)[: len(free)]
            self.drawn[row, lacking] = self.rng.permutation(free)[: len(lacking)]

    def _done(self, rows: Ints, items: Ints) -> Bools:
        """Tell which items ``[len(rows), k]`` the users of these rows have done by then."""
        users = np.broadcast_to(self.positives.users[rows, None], items.shape)
        times_ms = np.broadcast_to(self.positives.times_ms[rows, None], items.shape)
        done: Bools = self.done.by(users, items, times_ms) & (items != NO_ITEM)
        return done


def _repeated(items: Ints) -> Bools:
    """Tell which items stand further left in their row already, ``[n, k]``."""
    order = np.argsort(items, axis=1, kind="stable")
    ordered = np.take_along_axis(items, order, axis=1)
    again = np.zeros(items.shape, np.bool_)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    repeated = np.zeros(items.shape, np.bool_)
    np.put_along_axis(repeated, order, again, axis=1)
    return repeated
