"""The simulated world: categories, items, and the known probability that a shopper clicks.

Frozen before any model was trained; a change of anything here is another world and must say so.

The probability of a click depends on nothing but what a log shows: the shopper's events strictly
before the sample, and fixed attributes of item and category that counting reveals. Number a
shopper's earlier events by their lag, 1 for the newest. Each has a strength ``v`` (view .4,
click 1, cart and favorite 1.3, purchase .3). For a category ``c``, with half-lives in *events*::

    sum(c, half) = sum over events in c of v * 0.5 ** ((lag - 1) / half)
    fast = sum(c, 4)   mid = sum(c, 60)   slow = sum(c, 300)   old = max(0, slow - mid)
    bought = sum over purchases in c of 0.5 ** ((lag - 1) / 15)
    share  = (2 + clicks) / (5 + events), both counted with half-life 50
    sat(x) = 1 - exp(-x)       fresh = .35 + .65 * exp(-hours since the newest event / 2)
    pull   = exp(-(page - 1) / 2.5) * (.3 + .7 * sat(mid(trigger's category) / 2)), 0 if no trigger

    personal = w.fast * fresh * sat(fast) + w.mid * log1p(mid) + w.old * log1p(old)
             + w.kin * log1p(mid of the rest of the department)
             + w.partner * fresh * sat(fast of the category that c goes with)
             - w.bought * min(1, bought)
    logit p  = bias + quality(item) + quality(c) + w.share * (share - .4) - w.page * (page - 1)
             + w.trigger * pull * (1 same category as the trigger, .4 same department, else 0)
             + (1 - w.distraction * pull) * personal

``old`` is what the slow sum remembers and the mid one has forgotten: its weight peaks near lag
175 and is still .39 at lag 400, so much of it lies before the last 100 behaviors.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EVENT_TYPES = ("view", "click", "cart", "favorite", "purchase")
VIEW, CLICK, CART, FAVORITE, PURCHASE = range(5)
HOUR_MS = 3_600_000
NO_ITEM = -1

DEPARTMENTS = {
    "outdoor": "tents backpacks boots sleeping-bags stoves maps climbing kayaks",
    "kitchen": "knives pans mugs kettles blenders baking spices aprons",
    "home": "lamps rugs sofas curtains cushions shelves mirrors vases",
    "garden": "seeds mowers planters hoses sheds grills hammocks gloves",
    "music": "guitars keyboards drums vinyl headphones microphones amplifiers sheet-music",
    "fashion": "jackets dresses sneakers scarves watches handbags hats jeans",
    "computing": "laptops monitors mice routers printers cameras drones chargers",
    "children": "puzzles prams dolls trains crayons story-books costumes bicycles",
}
CATEGORY_NAMES = tuple(name for names in DEPARTMENTS.values() for name in names.split())
DEPARTMENT_NAMES = tuple(DEPARTMENTS)


@dataclass(frozen=True)
class ClickWeights:
    """Weights of the click formula; calibrated on oracle and counts only, never on a model."""

    bias: float = -3.9
    fast: float = 1.0
    mid: float = 0.2
    old: float = 0.75
    kin: float = 0.1
    partner: float = 0.6
    bought: float = 1.2
    share: float = 3.0
    page: float = 0.08
    trigger: float = 2.0
    distraction: float = 0.4


@dataclass(frozen=True)
class WorldConfig:
    """Sizes and constants of a world; the defaults are the published one."""

    n_items: int = 2_000
    item_quality_std: float = 0.5
    category_quality_std: float = 0.4
    strengths: tuple[float, ...] = (0.4, 1.0, 1.3, 1.3, 0.3)
    half_lives: tuple[float, float, float] = (4.0, 60.0, 300.0)
    bought_half_life: float = 15.0
    share_half_life: float = 50.0
    fresh_hours: float = 2.0
    page_decay: float = 2.5
    weights: ClickWeights = field(default_factory=ClickWeights)


@dataclass(frozen=True)
class HistorySums:
    """What the formula reads of shoppers: ``[n, n_categories]`` each, ``[n]`` the last two."""

    fast: Floats
    mid: Floats
    slow: Floats
    bought: Floats
    share: Floats
    last_time_ms: Ints


@dataclass(frozen=True)
class Impressions:
    """Candidates shown to ``n`` shoppers, ``k`` each: items ``[n, k]``, the rest ``[n]``.

    ``trigger`` is the item the page was opened from, ``NO_ITEM`` where there is none.
    """

    items: Ints
    time_ms: Ints
    page: Ints
    trigger: Ints


class World:
    """Categories, items and the click formula; two worlds of one seed are equal.

    Args:
        seed: Seeds qualities, popularities and which categories go together.
        config: Sizes and constants.
    """

    def __init__(self, seed: int, config: WorldConfig | None = None) -> None:
        self.seed = seed
        self.config = config or WorldConfig()
        self.n_categories = len(CATEGORY_NAMES)
        self.department = np.repeat(np.arange(len(DEPARTMENT_NAMES)), 8)
        rng = np.random.default_rng([seed, 1])
        n_items = self.config.n_items
        spread = rng.permutation(np.arange(n_items) % self.n_categories)
        random = rng.integers(self.n_categories, size=n_items)
        # Half of the items are dealt out evenly, so that every category has some.
        self.item_category = np.where(np.arange(n_items) % 2 == 0, spread, random)
        self.item_category[: self.n_categories] = np.arange(self.n_categories)
        self.item_quality = rng.normal(0.0, self.config.item_quality_std, n_items)
        self.category_quality = rng.normal(0.0, self.config.category_quality_std, self.n_categories)
        self.category_popularity = rng.dirichlet(np.full(self.n_categories, 3.0))
        self.item_popularity = rng.permutation(1.0 / (3.0 + np.arange(n_items)) ** 0.6)
        self.partner = self._choose_partners(rng)
        self.item_price = np.round(np.exp(rng.normal(3.5, 0.8, n_items)), 2)

    def _choose_partners(self, rng: np.random.Generator) -> Ints:
        """Return for each category the one that it goes with, from another department."""
        while True:
            partner = rng.permutation(self.n_categories)
            if (self.department[partner] != self.department).all():
                return partner

    @cached_property
    def category_items(self) -> tuple[Ints, Floats]:
        """Items of each category and the cumulated popularity, both ``[n_categories, longest]``."""
        groups = [np.flatnonzero(self.item_category == c) for c in range(self.n_categories)]
        longest = max(len(group) for group in groups)
        items = np.zeros((self.n_categories, longest), np.int64)
        cumulated = np.full((self.n_categories, longest), 2.0)
        for c, group in enumerate(groups):
            items[c, : len(group)] = group
            share = np.cumsum(self.item_popularity[group])
            cumulated[c, : len(group)] = share / share[-1]
        return items, cumulated

    @cached_property
    def item_ids(self) -> list[str]:
        """Item ids as sent, for example ``tents-7``."""
        seen = np.zeros(self.n_categories, np.int64)
        ids = []
        for c in self.item_category:
            seen[c] += 1
            ids.append(f"{CATEGORY_NAMES[c]}-{seen[c]}")
        return ids

    def pull(self, sums: HistorySums, shown: Impressions) -> Floats:
        """Return how strongly the trigger pulls, in [0, 1], ``[n]``; 0 without a trigger."""
        category = self.item_category[shown.trigger]
        known = _saturate(sums.mid[np.arange(len(category)), category] / 2.0)
        decayed = np.exp(-(shown.page - 1) / self.config.page_decay) * (0.3 + 0.7 * known)
        return np.where(shown.trigger == NO_ITEM, 0.0, decayed)

    def personal(self, sums: HistorySums, time_ms: Ints) -> Floats:
        """Return the personal part of the logit for every category, ``[n, n_categories]``."""
        w = self.config.weights
        # A shopper without events is as fresh as one who left long ago.
        hours = np.where(sums.last_time_ms < 0, np.inf, (time_ms - sums.last_time_ms) / HOUR_MS)
        fresh = (0.35 + 0.65 * np.exp(-hours / self.config.fresh_hours))[:, None]
        n = len(sums.mid)
        department = sums.mid.reshape(n, len(DEPARTMENT_NAMES), 8).sum(axis=2)
        kin = np.maximum(0.0, department[:, self.department] - sums.mid)
        return np.asarray(
            w.fast * fresh * _saturate(sums.fast)
            + w.mid * np.log1p(sums.mid)
            + w.old * np.log1p(np.maximum(0.0, sums.slow - sums.mid))
            + w.kin * np.log1p(kin)
            + w.partner * fresh * _saturate(sums.fast[:, self.partner])
            - w.bought * np.minimum(1.0, sums.bought)
        )

    def click_probability(self, sums: HistorySums, shown: Impressions) -> Floats:
        """Return the probability of a click on each candidate, ``[n, k]``."""
        w = self.config.weights
        category = self.item_category[shown.items]
        trigger_category = self.item_category[shown.trigger][:, None]
        same_department = self.department[category] == self.department[trigger_category]
        match = np.where(category == trigger_category, 1.0, 0.4 * same_department)
        pull = self.pull(sums, shown)[:, None]
        personal = np.take_along_axis(self.personal(sums, shown.time_ms), category, axis=1)
        shopper = w.share * (sums.share - 0.4) - w.page * (shown.page - 1)
        logit = (
            w.bias
            + self.item_quality[shown.items]
            + self.category_quality[category]
            + shopper[:, None]
            + w.trigger * pull * match
            + (1.0 - w.distraction * pull) * personal
        )
        return np.asarray(1.0 / (1.0 + np.exp(-logit)))


def _saturate(x: Floats) -> Floats:
    return np.asarray(1.0 - np.exp(-x))
