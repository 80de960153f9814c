"""Ids to rows of the embedding tables, and what is known of an item; numpy only.

Row 0 of every table is the unknown id, so that any id is accepted at serving time. With hash
buckets an item that came after training has the row of its bucket instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import compiled

Ids = NDArray[np.uint64]
Rows = NDArray[np.int64]
Value = TypeVar("Value", bound=np.generic)

UNKNOWN_ROW = 0
#: Buckets of a price: 0 for none, then quarters of a doubling, the middle one for a price of 1.
N_PRICES = 64


class TableRows(NamedTuple):
    """Rows of the embedding tables, unknown rows and buckets included."""

    items: int
    categories: int
    users: int


class ItemColumns(NamedTuple):
    """Items as rows of the tables; all of the shape of the ids that were looked up."""

    items: Rows
    categories: Rows
    category_ids: Ids  # as given, else as it is known, else 0
    prices: Rows  # buckets, 0 where the price is not known


@compiled
def row_of(sorted_ids: Ids, wanted: np.uint64) -> int:
    """Return 1 + the position of an id, 0 when it is not there."""
    low, high = 0, sorted_ids.shape[0]
    while low < high:
        middle = (low + high) >> 1
        if sorted_ids[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    if low < sorted_ids.shape[0] and sorted_ids[low] == wanted:
        return low + 1
    return 0


@compiled
def _fill_rows(sorted_ids: Ids, ids: Ids, rows: Rows) -> None:
    for k in range(ids.shape[0]):
        rows[k] = row_of(sorted_ids, ids[k])


def rows_of(sorted_ids: Ids, ids: Ids) -> Rows:
    """Return ``1 + position`` of each id in ``sorted_ids``, ``UNKNOWN_ROW`` where it is absent."""
    rows = np.empty(ids.shape, np.int64)
    _fill_rows(sorted_ids, _as_compiled(ids), rows.reshape(-1))
    return rows


def _as_compiled(ids: Ids) -> Ids:
    """Return ids of any shape and kind of array as the one kind that loops are compiled for."""
    return np.array(ids, np.uint64).reshape(-1)


def taken(values: NDArray[Value], rows: Rows) -> NDArray[Value]:
    """Return what belongs to each of some rows, 0 for the unknown one.

    Args:
        values: Of the rows from the first known one on; none: all are 0.
        rows: As ``rows_of`` gives them.
    """
    if not len(values):
        return np.zeros(rows.shape, values.dtype)
    return np.where(rows == UNKNOWN_ROW, values.dtype.type(0), values[rows - 1])


def price_buckets(prices: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the bucket of each price: quarters of a doubling; 0 where there is no price."""
    known = np.isfinite(prices) & (prices > 0)
    steps = np.round(4 * np.log2(np.where(known, prices, 1.0))) + N_PRICES // 2
    return np.where(known, np.clip(steps, 1, N_PRICES - 1), 0).astype(np.uint8)


@compiled
def bucket_of(item: np.uint64, n_buckets: int) -> int:
    """Return the bucket of an item id in [0, n_buckets): the finaliser of SplitMix64."""
    mixed = np.uint64(item)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return int(mixed % np.uint64(n_buckets))


@compiled
def _buckets_of(items: Ids, n_buckets: int) -> Rows:
    buckets = np.empty(items.shape[0], np.int64)
    for k in range(items.shape[0]):
        buckets[k] = bucket_of(items[k], n_buckets)
    return buckets


class _Known(NamedTuple):
    """A vocabulary as a loop takes it."""

    items: Ids
    item_categories: Ids
    item_prices: NDArray[np.uint8]
    categories: Ids
    n_buckets: int


@compiled
def _fill_columns(known: _Known, items: Ids, categories: Ids, columns: Rows) -> None:
    """Fill rows of items and categories, price buckets, category ids, ``[4, n]``."""
    for k in range(items.shape[0]):
        row, category, price = row_of(known.items, items[k]), categories[k], 0
        if row:
            if category == 0:
                category = known.item_categories[row - 1]
            if known.item_prices.shape[0]:
                price = int(known.item_prices[row - 1])
        elif known.n_buckets:
            row = 1 + known.items.shape[0] + bucket_of(items[k], known.n_buckets)
        columns[0, k], columns[1, k] = row, row_of(known.categories, category)
        columns[2, k], columns[3, k] = price, category


_NO_IDS: Ids = np.zeros(0, np.uint64)


@dataclass(frozen=True)
class Vocabulary:
    """The ids a bundle was trained on.

    Attributes:
        items: Sorted item ids, ``[n_items]``; item ``items[i]`` has row ``i + 1``.
        item_categories: Category id of each item, 0 where it has none, ``[n_items]``.
        categories: Sorted category ids, ``[n_categories]``.
        users: Sorted user ids, empty when users are not told apart by their id, ``[n_users]``.
        item_prices: Price bucket of each item, 0 where it is not known, ``[n_items]``; empty: of
            none.
        price_unit: Price of the middle bucket, 0 where there are no buckets.
        n_buckets: Rows for items that are not in it, by their hash; 0: they share the unknown row.
    """

    items: Ids
    item_categories: Ids
    categories: Ids
    users: Ids = field(default_factory=_NO_IDS.copy)
    item_prices: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    price_unit: float = 0.0
    n_buckets: int = 0

    @classmethod
    def from_pairs(cls, items: Ids, categories: Ids) -> Self:
        """Build from item ids and the category seen with each; the last category not 0 wins."""
        order = np.lexsort((np.arange(len(items)), categories != 0, items))
        unique, counts = np.unique(items[order], return_counts=True)
        known = np.unique(categories)
        last = np.cumsum(counts) - 1
        return cls(unique, categories[order][last], known[known != 0])

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[np.generic]]) -> Self:
        """Take the vocabulary out of a bundle's tensors.

        Raises:
            KeyError: A part is not there.
            ValueError: Parts are of other lengths than they have to be.
        """
        parts = {name: tensors[_PREFIX + name] for name in _ARRAYS}
        n, n_categories, n_prices = (
            len(parts[name]) for name in ("items", "item_categories", "item_prices")
        )
        if n_categories != n or n_prices not in (0, n):
            raise ValueError(f"{n} items, {n_categories} categories and {n_prices} prices of them")
        buckets = int(tensors[_PREFIX + "n_buckets"][0])
        # Bundles of before have none.
        unit = float(tensors.get(_PREFIX + "price_unit", _NO_UNIT)[0])
        return cls(**parts, price_unit=unit, n_buckets=buckets)  # type: ignore[arg-type]

    def to_tensors(self) -> dict[str, NDArray[np.generic]]:
        """Return the vocabulary as tensors of a bundle."""
        parts = {_PREFIX + name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        parts[_PREFIX + "n_buckets"] = np.array([self.n_buckets], np.uint64)
        if self.price_unit:
            parts[_PREFIX + "price_unit"] = np.array([self.price_unit])
        return parts

    @property
    def table_rows(self) -> TableRows:
        """Rows of the embedding tables."""
        return TableRows(
            1 + len(self.items) + self.n_buckets, 1 + len(self.categories), 1 + len(self.users)
        )

    def look_up(self, items: Ids, categories: Ids) -> ItemColumns:
        """Return all that is known of some items, by one search for each.

        Args:
            items: Of any shape.
            categories: Of the same shape, 0 where none is given.

        Raises:
            ValueError: They have another shape.
        """
        if items.shape != categories.shape:
            raise ValueError(f"items of shape {items.shape}, categories of {categories.shape}")
        known = _Known(
            self.items, self.item_categories, self.item_prices, self.categories, self.n_buckets
        )
        columns = np.empty((4, items.size), np.int64)
        _fill_columns(known, _as_compiled(items), _as_compiled(categories), columns)
        rows, category_rows, prices, ids = columns.reshape(4, *items.shape)
        return ItemColumns(rows, category_rows, ids.view(np.uint64), prices)

    def item_rows(self, items: Ids) -> Rows:
        """Return the row of each item."""
        return self.look_up(items, np.zeros_like(items)).items

    def rows_as_unknown(self, rows: Rows) -> Rows:
        """Return the rows that known items would have if training had not seen them."""
        if not self.n_buckets:
            return np.zeros(rows.shape, np.int64)
        known = np.clip(rows - 1, 0, max(len(self.items) - 1, 0))
        inside = (rows != UNKNOWN_ROW) & (rows <= len(self.items))
        return np.where(inside, self._bucket_rows(self.items[known]), rows)

    def _bucket_rows(self, items: Ids) -> Rows:
        buckets = _buckets_of(np.ascontiguousarray(items).reshape(-1), self.n_buckets)
        return 1 + len(self.items) + buckets.reshape(items.shape)

    def categories_of(self, items: Ids, categories: Ids) -> Ids:
        """Return the category of each item: as given, else as it is known, else 0."""
        return self.look_up(items, categories).category_ids

    def category_rows(self, items: Ids, categories: Ids) -> Rows:
        """Return the row of each item's category: as given, else as it is known."""
        return self.look_up(items, categories).categories

    def price_rows(self, items: Ids) -> Rows:
        """Return the price bucket of each item, 0 where it is not known."""
        return self.look_up(items, np.zeros_like(items)).prices

    def user_rows(self, users: Ids) -> Rows:
        """Return the row of each user."""
        return rows_of(self.users, users)


_NO_UNIT = np.zeros(1)
_PREFIX = "vocabulary."
_ARRAYS = ("items", "item_categories", "categories", "users", "item_prices")
