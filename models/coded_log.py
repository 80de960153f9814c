"""An event log with codes for users and items: what negatives, triggers and samples are made of."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.negatives import NO_ITEM
from models.tables import PRICE_COLUMN, SPLITS

Ints = NDArray[np.int64]

_ABOUT_ITEMS = ("category_id", PRICE_COLUMN)


@dataclass(frozen=True)
class CodedLog:
    """Events in time order, with codes for users and items.

    Attributes:
        events: As given, in time order, ``[n_events]`` like the next four.
        splits: Of each event.
        users: Code of the user.
        items: Code of the item.
        times_ms: When.
        categories: Category code of each item code, that of its first event, ``[n_items]``.
    """

    events: pl.DataFrame
    splits: Ints
    users: Ints
    items: Ints
    times_ms: Ints
    categories: Ints

    @classmethod
    def of(cls, events: pl.DataFrame, splits: Ints) -> "CodedLog":
        """Code the events, which are in time order."""
        items = _codes(events["item_id"])
        _, first = np.unique(items, return_index=True)
        if "category_id" in events.columns:
            categories = _codes(events["category_id"])[first]
        else:
            categories = np.zeros(len(first), np.int64)
        times = events["event_time_ms"].cast(pl.Int64).to_numpy()
        return cls(events, splits, _codes(events["user_id"]), items, times, categories)

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.categories)

    @property
    def has_past(self) -> NDArray[np.bool_]:
        """Whether the user of each event has an event of an earlier time, ``[n_events]``."""
        _, first, users = np.unique(self.users, return_index=True, return_inverse=True)
        return np.asarray(self.times_ms > self.times_ms[first][users])

    @property
    def is_repeated(self) -> NDArray[np.bool_]:
        """Whether the user of each event did something with its item earlier, ``[n_events]``."""
        pairs = self.users * self.n_items + self.items
        _, first, place = np.unique(pairs, return_index=True, return_inverse=True)
        return np.asarray(self.times_ms > self.times_ms[first][place])

    def triggers(self, chosen: Ints, positives: Ints, within_ms: int) -> Ints:
        """Return the event that each positive is triggered by, -1 for none, ``[n_positives]``.

        Args:
            chosen: Events that may be triggers, in time order.
            positives: Events that become samples.
            within_ms: Greatest age of a trigger.
        """
        before = _latest_before(
            (self.users[chosen], self.times_ms[chosen]),
            (self.users[positives], self.times_ms[positives]),
        )
        found = np.where(before >= 0, chosen[before], -1)
        age = self.times_ms[positives] - self.times_ms[found]
        return np.where((found >= 0) & (age <= within_ms), found, -1)

    def samples(self, positives: Ints, negatives: Ints) -> pl.DataFrame:
        """Return positives and negatives side by side, null items where a negative lacks."""
        candidates = np.concatenate((self.items[positives, None], negatives), axis=1)
        per_positive = candidates.shape[1]
        heads = np.repeat(positives, per_positive)
        rows = np.where(
            (candidates == NO_ITEM).ravel(), -1, self._rows_of(candidates.ravel(), heads)
        )
        label = np.tile(np.arange(per_positive) == 0, len(positives))
        about = [name for name in _ABOUT_ITEMS if name in self.events.columns]
        return pl.DataFrame(
            {
                "user_id": self.events["user_id"][heads],
                **{name: gathered(self.events[name], rows) for name in ("item_id", *about)},
                "time_ms": self.times_ms[heads],
                "label": label.astype(np.int8),
                "split": pl.Series(SPLITS, dtype=pl.String)[self.splits[heads]],
            }
        )

    def _rows_of(self, items: Ints, heads: Ints) -> Ints:
        """Return an event of each item: its latest until the event ``heads``, else its first.

        Of a positive that is its own event.
        """
        order = np.argsort(self.items, kind="stable")
        keys = self.items[order] * len(order) + order
        place = np.searchsorted(keys, items * len(order) + heads, side="right") - 1
        first = np.searchsorted(self.items[order], items)
        found: Ints = order[np.maximum(place, first) % len(order)]
        return found


def _latest_before(events: tuple[Ints, Ints], moments: tuple[Ints, Ints]) -> Ints:
    """Return the last event of the same user of an earlier time, -1 for none, ``[n_moments]``.

    Args:
        events: Users and times, in time order.
        moments: Users and times.
    """
    _, ranks = np.unique(np.concatenate((events[1], moments[1])), return_inverse=True)
    n_ranks = int(ranks.max()) + 1
    keys = events[0] * n_ranks + ranks[: len(events[0])]
    order = np.argsort(keys, kind="stable")
    wanted = moments[0] * n_ranks + ranks[len(events[0]) :]
    place = np.searchsorted(keys[order], wanted, side="left") - 1
    found = order[place]
    return np.where((place >= 0) & (events[0][found] == moments[0]), found, -1)


def gathered(column: pl.Series, rows: Ints) -> pl.Series:
    """Return the values of rows, null where the row is negative."""
    return column.gather(pl.Series(rows).set(pl.Series(rows < 0), None))


def _codes(ids: pl.Series) -> Ints:
    """Return a number from 0 for each id, in the order of the ids; null is an id of its own."""
    codes: Ints = ids.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    return codes - int(codes.min())
