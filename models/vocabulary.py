"""Ids to rows of the embedding tables, and the category of an item; numpy only.

Row 0 of every table is the unknown id, so that any id is accepted at serving time.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

UNKNOWN_ROW = 0


def rows_of(sorted_ids: NDArray[np.uint64], ids: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return ``1 + position`` of each id in ``sorted_ids``, ``UNKNOWN_ROW`` where it is absent."""
    if not len(sorted_ids):
        return np.zeros(ids.shape, np.int64)
    place = np.searchsorted(sorted_ids, ids)
    place[place == len(sorted_ids)] = 0
    return np.where(sorted_ids[place] == ids, place + 1, UNKNOWN_ROW)


@dataclass(frozen=True)
class Vocabulary:
    """The ids a bundle was trained on.

    Attributes:
        items: Sorted item ids, ``[n_items]``; item ``items[i]`` has row ``i + 1``.
        item_categories: Category id of each item, 0 where it has none, ``[n_items]``.
        categories: Sorted category ids, ``[n_categories]``.
    """

    items: NDArray[np.uint64]
    item_categories: NDArray[np.uint64]
    categories: NDArray[np.uint64]

    @classmethod
    def from_pairs(cls, items: NDArray[np.uint64], categories: NDArray[np.uint64]) -> Self:
        """Build from item ids and the category seen with each; the last category not 0 wins."""
        order = np.lexsort((np.arange(len(items)), categories != 0, items))
        unique, counts = np.unique(items[order], return_counts=True)
        known = np.unique(categories)
        last = np.cumsum(counts) - 1
        return cls(unique, categories[order][last], known[known != 0])

    @property
    def n_item_rows(self) -> int:
        """Rows of the item table, the unknown row included."""
        return len(self.items) + 1

    @property
    def n_category_rows(self) -> int:
        """Rows of the category table, the unknown row included."""
        return len(self.categories) + 1

    def item_rows(self, items: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the row of each item."""
        return rows_of(self.items, items)

    def category_rows(
        self, items: NDArray[np.uint64], categories: NDArray[np.uint64]
    ) -> NDArray[np.int64]:
        """Return the row of each item's category: as given, else as the bundle knows it."""
        own = np.concatenate((np.zeros(1, np.uint64), self.item_categories))
        return rows_of(
            self.categories, np.where(categories != 0, categories, own[self.item_rows(items)])
        )
