"""Histories of simulated shoppers: moved event by event, or summed up from a list of events."""

import numpy as np
from numpy.typing import NDArray

from models.shopper_world import CLICK, PURCHASE, HistorySums, Ints, WorldConfig

RECENT = 20


def _decays(config: WorldConfig) -> NDArray[np.float64]:
    """Return the decay per event of fast, mid, slow, bought and share."""
    halves = np.array([*config.half_lives, config.bought_half_life, config.share_half_life])
    return np.asarray(0.5 ** (1.0 / halves))


class ShopperHistories:
    """The running sums of many shoppers and their last items.

    Args:
        n_shoppers: How many.
        n_categories: Categories of the world.
        config: Half-lives and strengths.
    """

    def __init__(self, n_shoppers: int, n_categories: int, config: WorldConfig) -> None:
        self._decays = _decays(config)
        self._strengths = np.array(config.strengths)
        # fast, mid, slow, bought: [4, n_shoppers, n_categories]
        self._sums = np.zeros((4, n_shoppers, n_categories))
        self._counts = np.zeros((2, n_shoppers))
        self._last_time_ms = np.full(n_shoppers, -1, np.int64)
        self.n_events = np.zeros(n_shoppers, np.int64)
        self.recent_items = np.zeros((n_shoppers, RECENT), np.int64)

    def append(
        self, rows: Ints, items: Ints, categories: Ints, types: Ints, times_ms: Ints
    ) -> None:
        """Give each shopper in ``rows`` (each at most once) its next event."""
        strength = self._strengths[types]
        for k in range(3):
            self._sums[k, rows] *= self._decays[k]
            self._sums[k, rows, categories] += strength
        self._sums[3, rows] *= self._decays[3]
        self._sums[3, rows, categories] += types == PURCHASE
        self._counts[:, rows] *= self._decays[4]
        self._counts[0, rows] += types == CLICK
        self._counts[1, rows] += 1.0
        self._last_time_ms[rows] = times_ms
        self.recent_items[rows, self.n_events[rows] % RECENT] = items
        self.n_events[rows] += 1

    def sums(self, rows: Ints) -> HistorySums:
        """Return what the click formula reads of these shoppers."""
        fast, mid, slow, bought = self._sums[:, rows]
        clicks, total = self._counts[:, rows]
        share = (2.0 + clicks) / (5.0 + total)
        return HistorySums(fast, mid, slow, bought, share, self._last_time_ms[rows])

    def affinity(self, rows: Ints) -> NDArray[np.float64]:
        """Return the slow sums, ``[n, n_categories]``: what was loved, however long ago."""
        return np.asarray(self._sums[2, rows])

    def recent_item(self, rows: Ints, back: Ints) -> Ints:
        """Return the item of the event ``back`` (0 is the newest) before the last one."""
        n_events = self.n_events[rows]
        back = np.minimum(np.minimum(back, RECENT - 1), n_events - 1)
        return np.asarray(self.recent_items[rows, (n_events - 1 - back) % RECENT])


def sums_of(
    histories: list[tuple[Ints, Ints]],
    last_times_ms: Ints,
    n_categories: int,
    config: WorldConfig,
) -> HistorySums:
    """Sum up written-out histories; nothing is carried from one to the next.

    A history may be cut to its newest events before: that is how much of the probability hangs on
    older ones.

    Args:
        histories: Categories and event types of each shopper, oldest event first.
        last_times_ms: Time of the newest event of each, -1 where there is none.
        n_categories: Categories of the world.
        config: Half-lives and strengths.
    """
    decays = _decays(config)
    strengths = np.array(config.strengths)
    sums = np.zeros((4, len(histories), n_categories))
    share = np.zeros(len(histories))
    for i, (category, kind) in enumerate(histories):
        powers = decays[:, None] ** np.arange(len(category) - 1, -1, -1)
        for k in range(3):
            sums[k, i] = np.bincount(category, strengths[kind] * powers[k], n_categories)
        sums[3, i] = np.bincount(category, (kind == PURCHASE) * powers[3], n_categories)
        share[i] = (2.0 + powers[4] @ (kind == CLICK)) / (5.0 + powers[4].sum())
    fast, mid, slow, bought = sums
    return HistorySums(fast, mid, slow, bought, share, last_times_ms)
