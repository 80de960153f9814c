"""Simulated shoppers: latent, drifting interests make events; the known formula makes clicks.

A shopper's latent interests (four categories, exchanged now and then, often for one loved before)
choose what it looks at on its own and part of what it is shown. They enter no click probability:
that one is `models.shopper_world.World.click_probability` of the events that came before.

All shoppers walk at once, one step at a time. A step is an action of the shopper's own (a view or
a click, at times followed by cart, favorite or purchase), or a page of six impressions. Pages
come in flows: page 1, 2, ... opened from one trigger item, or from no item (a home page).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.durations import DAY_MS
from models.shopper_history import ShopperHistories
from models.shopper_interests import Interests, draw_items
from models.shopper_world import (
    CART,
    CLICK,
    FAVORITE,
    NO_ITEM,
    PURCHASE,
    VIEW,
    Floats,
    Impressions,
    Ints,
    World,
)

START_MS = 1_767_225_600_000
FOLLOW_UPS = np.array([CART, FAVORITE, PURCHASE])


@dataclass(frozen=True)
class ShopperConfig:
    """How shoppers behave; none of it is read by the click formula.

    ``pages_from`` is the share of the days that passes before the first page is shown, so that
    every shopper has a history when samples begin.
    """

    days: float = 30.0
    start_ms: int = START_MS
    pages_from: float = 0.5
    steps_mean: float = 330.0
    steps_range: tuple[int, int] = (120, 640)
    session_steps: float = 9.0
    flow_chance: float = 0.10
    next_page_chance: float = 0.6
    trigger_chance: float = 0.65
    slots: int = 6
    follow_up_chances: tuple[float, float, float] = (0.06, 0.04, 0.03)


@dataclass(frozen=True)
class Walk:
    """What happened, in time order: columns of events and of samples (arrays of equal length).

    Events: shopper, item, category, type, time_ms, page, trigger, number. Samples: shopper, item,
    category, time_ms, page, trigger, label; ``probability`` is that of their clicks.
    ``page`` is 0 and ``trigger`` is ``NO_ITEM`` where there is none.
    """

    world: World
    events: dict[str, Ints]
    samples: dict[str, Ints]
    probability: Floats


def user_id(shopper: int) -> str:
    """Return the id of a shopper as sent."""
    return f"shopper-{shopper}"


class Shoppers:
    """Shoppers of one world; two of equal seed and sizes walk alike.

    Args:
        world: Where they shop.
        seed: Seeds the shoppers, not the world.
        n_shoppers: How many.
        config: How they behave.
    """

    def __init__(
        self, world: World, seed: int, n_shoppers: int, config: ShopperConfig | None = None
    ) -> None:
        self.world = world
        self.config = config or ShopperConfig()
        self.n_shoppers = n_shoppers
        self._rng = np.random.default_rng([seed, 2])
        self.histories = ShopperHistories(n_shoppers, world.n_categories, world.config)
        self.interests = Interests(world, self._rng, n_shoppers)
        # Browsers look more than they click.
        self._browsing = self._rng.uniform(0.3, 0.75, n_shoppers)
        self._flow_page = np.zeros(n_shoppers, np.int64)
        self._flow_trigger = np.full(n_shoppers, NO_ITEM)
        self._events: list[NDArray[np.int64]] = []
        self._samples: list[NDArray[np.float64]] = []
        self.n_steps, self._times, self._opens = self._plan_steps()

    @property
    def max_steps(self) -> int:
        """Steps of the busiest shopper."""
        return int(self.n_steps.max())

    def walk(self, on_step: Callable[[], None] | None = None) -> Walk:
        """Let everyone walk to the end.

        Args:
            on_step: Called after each of ``max_steps`` steps.
        """
        for step in range(self.max_steps):
            self._step(step)
            if on_step is not None:
                on_step()
        return Walk(self.world, self._event_columns(), *self._sample_columns())

    def _plan_steps(self) -> tuple[Ints, Ints, NDArray[np.bool_]]:
        """Draw how many steps each makes, when, and which of them open a visit."""
        config, rng = self.config, self._rng
        low, high = config.steps_range
        mean = np.log(config.steps_mean) - 0.5 * 0.35**2
        n_steps = np.clip(rng.lognormal(mean, 0.35, self.n_shoppers), low, high).astype(np.int64)
        shape = (self.n_shoppers, int(n_steps.max()))
        walking = np.arange(shape[1]) < n_steps[:, None]
        opens = rng.random(shape) < 1.0 / config.session_steps
        opens[:, 0] = True
        short = 5_000.0 + rng.exponential(60_000.0, shape)
        long = np.where(opens & walking, rng.exponential(1.0, shape), 0.0)
        days_ms = config.days * DAY_MS * rng.uniform(0.97, 0.999, (self.n_shoppers, 1))
        spare = np.maximum(0.0, days_ms - (short * walking).sum(axis=1, keepdims=True))
        gaps = short + long * spare / long.sum(axis=1, keepdims=True)
        return n_steps, config.start_ms + np.cumsum(gaps, axis=1).astype(np.int64), opens

    def _step(self, step: int) -> None:
        """Move everyone who still walks by one step."""
        rng, config = self._rng, self.config
        rows = np.flatnonzero(self.n_steps > step)
        times = self._times[rows, step]
        opens = self._opens[rows, step]
        self.interests.drift(rows, opens)
        going_on = (self._flow_page[rows] > 0) & ~opens
        going_on &= rng.random(len(rows)) < config.next_page_chance
        starting = ~going_on & (rng.random(len(rows)) < config.flow_chance)
        late = times >= config.start_ms + config.pages_from * config.days * DAY_MS
        paging = (going_on | starting) & late & (self.histories.n_events[rows] > 0)
        self._open_flows(rows[starting & paging])
        self._flow_page[rows[~paging]] = 0
        self._flow_page[rows[paging]] += 1
        self._show_pages(rows[paging], times[paging])
        self._act(rows[~paging], times[~paging])

    def _open_flows(self, rows: Ints) -> None:
        """Choose the trigger of new flows: the newest item, one of the last twenty, or none."""
        rng = self._rng
        back = np.where(rng.random(len(rows)) < 0.5, 0, rng.integers(0, 20, len(rows)))
        trigger = self.histories.recent_item(rows, back)
        home = rng.random(len(rows)) >= self.config.trigger_chance
        self._flow_trigger[rows] = np.where(home, NO_ITEM, trigger)
        self._flow_page[rows] = 0

    def _act(self, rows: Ints, times: Ints) -> None:
        """Actions of the shoppers' own."""
        rng = self._rng
        categories = self.interests.wanted_categories(rows)
        items = draw_items(self.world, rng, categories)
        types = np.where(rng.random(len(rows)) < self._browsing[rows], VIEW, CLICK)
        nothing = np.zeros(len(rows), np.int64)
        self._record(rows, items, types, times, (nothing, nothing + NO_ITEM))
        clicked = types == CLICK
        self._follow_up(rows[clicked], items[clicked], times[clicked] + 1_000)

    def _show_pages(self, rows: Ints, times: Ints) -> None:
        """Show a page each, draw its clicks from the known probability, record both."""
        rng = self._rng
        trigger, page = self._flow_trigger[rows], self._flow_page[rows]
        items = self._choose_candidates(rows, trigger)
        shown = Impressions(items, times, page, trigger)
        probability = self.world.click_probability(self.histories.sums(rows), shown)
        label = rng.random(items.shape) < probability
        twice = np.zeros(items.shape, np.bool_)
        for k in range(1, items.shape[1]):
            twice[:, k] = (items[:, :k] == items[:, k : k + 1]).any(axis=1)
        i, slot = np.nonzero(~twice)
        columns = (rows[i], items[i, slot], times[i], page[i], trigger[i], label[i, slot])
        self._samples.append(np.stack([*columns, probability[i, slot]], axis=1))
        last = np.full(len(rows), NO_ITEM)
        for k in range(items.shape[1]):
            hit = label[:, k] & ~twice[:, k]
            last[hit] = items[hit, k]
            # A click follows its impression by a millisecond and its place on the page.
            where = (page[hit], trigger[hit])
            self._record(rows[hit], items[hit, k], CLICK, times[hit] + 1 + k, where)
        some = last != NO_ITEM
        self._follow_up(rows[some], last[some], times[some] + 1_000)

    def _choose_candidates(self, rows: Ints, trigger: Ints) -> Ints:
        """Fill the slots, ``[n, slots]``: of the trigger, wanted, once loved, or anything."""
        rng, world = self._rng, self.world
        n, slots = len(rows), self.config.slots
        loved = self.histories.affinity(rows) + 0.02
        cumulated = np.cumsum(loved / loved.sum(axis=1, keepdims=True), axis=1)
        categories = np.empty((n, slots), np.int64)
        for k in range(slots):
            kind = rng.random(n)
            anything = rng.choice(world.n_categories, n, p=world.category_popularity)
            once = (cumulated < rng.random((n, 1))).sum(axis=1).clip(max=world.n_categories - 1)
            wanted = self.interests.wanted_categories(rows)
            of_trigger = np.where(trigger == NO_ITEM, anything, world.item_category[trigger])
            categories[:, k] = np.select(
                [kind < 0.25, kind < 0.45, kind < 0.65], [of_trigger, wanted, once], anything
            )
        return draw_items(world, rng, categories.ravel()).reshape(n, slots)

    def _follow_up(self, rows: Ints, items: Ints, times: Ints) -> None:
        """Let some of these clicks be followed by cart, favorite or purchase."""
        edges = np.cumsum(self.config.follow_up_chances)
        kind = np.searchsorted(edges, self._rng.random(len(rows)), side="right")
        some = kind < len(FOLLOW_UPS)
        nothing = np.zeros(int(some.sum()), np.int64)
        types = FOLLOW_UPS[kind[some]]
        self._record(rows[some], items[some], types, times[some], (nothing, nothing + NO_ITEM))

    def _record(
        self, rows: Ints, items: Ints, types: Ints | int, times: Ints, shown: tuple[Ints, Ints]
    ) -> None:
        """Write one event a shopper into history and log; ``shown`` is its page and trigger."""
        if not len(rows):
            return
        kinds = np.broadcast_to(np.asarray(types), rows.shape)
        categories = self.world.item_category[items]
        number = self.histories.n_events[rows]
        self.histories.append(rows, items, categories, kinds, times)
        self._events.append(np.stack([rows, items, categories, kinds, times, *shown, number]))

    def _event_columns(self) -> dict[str, Ints]:
        """Return the log of events in time order."""
        names = ("shopper", "item", "category", "type", "time_ms", "page", "trigger", "number")
        table = np.concatenate(self._events, axis=1)
        order = np.lexsort((table[7], table[0], table[4]))
        return dict(zip(names, table[:, order], strict=True))

    def _sample_columns(self) -> tuple[dict[str, Ints], Floats]:
        """Return the samples in time order, and their probability."""
        names = ("shopper", "item", "time_ms", "page", "trigger", "label")
        table = np.concatenate(self._samples) if self._samples else np.zeros((0, 7))
        table = table[np.lexsort((table[:, 0], table[:, 2]))]
        columns = {name: table[:, k].astype(np.int64) for k, name in enumerate(names)}
        columns["category"] = self.world.item_category[columns["item"]]
        return columns, table[:, 6]
