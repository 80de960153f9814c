"""What is known about items: their category. Today from the bundle; a topic or a file later."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Catalog(Protocol):
    """Knows items."""

    def categories_of(self, items: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the category id of each item, 0 where it is not known."""
        ...


class BundleCatalog:
    """Leaves every category to the bundle, whose own map is asked wherever a category is 0."""

    def categories_of(self, items: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return 0 for each item."""
        return np.zeros(len(items), np.uint64)


def complete_categories(
    catalog: Catalog, items: NDArray[np.uint64], given: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Return the given categories, the catalog's where none (0) was given."""
    if given.all():
        return given
    return np.where(given != 0, given, catalog.categories_of(items))
