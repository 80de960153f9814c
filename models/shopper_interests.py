"""Latent interests of simulated shoppers: what they want, invisible to the click formula."""

import numpy as np

from models.shopper_world import Ints, World

ACTIVE, PAST = 4, 12


class Interests:
    """Four wanted categories a shopper, drifting; some come back after a long time.

    Args:
        world: The categories.
        rng: The shoppers' random numbers.
        n_shoppers: How many.
    """

    def __init__(self, world: World, rng: np.random.Generator, n_shoppers: int) -> None:
        self._world = world
        self._rng = rng
        popularity = world.category_popularity
        self.active = rng.choice(world.n_categories, (n_shoppers, ACTIVE), p=popularity)
        # What was loved before the log begins: it may come back as well.
        self.past = rng.choice(world.n_categories, (n_shoppers, PAST), p=popularity)
        self.focus = np.zeros(n_shoppers, np.int64)
        self._last = self.active[:, 0].copy()

    def drift(self, rows: Ints, opens: np.ndarray) -> None:
        """Exchange an interest now and then; turn to another one at a visit's start."""
        rng, world = self._rng, self._world
        turning = rows[opens | (rng.random(len(rows)) < 0.12)]
        self.focus[turning] = rng.integers(0, ACTIVE, len(turning))
        changing = rows[rng.random(len(rows)) < 1.0 / 35.0]
        n = len(changing)
        slot = rng.integers(0, ACTIVE, n)
        place = rng.integers(0, PAST, n)
        old = self.past[changing, place]
        new = rng.choice(world.n_categories, n, p=world.category_popularity)
        leaving = self.active[changing, slot]
        self.active[changing, slot] = np.where(rng.random(n) < 0.5, old, new)
        self.past[changing, place] = leaving

    def wanted_categories(self, rows: Ints) -> Ints:
        """Draw what each shopper looks for: its focus, another interest, a partner, anything."""
        rng, world = self._rng, self._world
        n = len(rows)
        kind = rng.random(n)
        other = self.active[rows, rng.integers(0, ACTIVE, n)]
        focus = self.active[rows, self.focus[rows]]
        partner = world.partner[self._last[rows]]
        anything = rng.choice(world.n_categories, n, p=world.category_popularity)
        drawn = np.select([kind < 0.6, kind < 0.78, kind < 0.86], [focus, other, partner], anything)
        self._last[rows] = drawn
        return np.asarray(drawn)


def draw_items(world: World, rng: np.random.Generator, categories: Ints) -> Ints:
    """Draw an item of each category by popularity."""
    items, cumulated = world.category_items
    place = (cumulated[categories] < rng.random((len(categories), 1))).sum(axis=1)
    return np.asarray(items[categories, place])
