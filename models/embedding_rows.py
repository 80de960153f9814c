"""Items and categories as rows of the embedding tables, and how training hides some of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.samples import Ints
from models.vocabulary import UNKNOWN_ROW, Vocabulary

Ids = NDArray[np.uint64]

#: Of the items presented as unknown, the share whose category is presented as unknown as well.
WITH_CATEGORY = 0.5


@dataclass(frozen=True)
class Rows:
    """Items and categories as rows of the embedding tables."""

    items: Ints
    categories: Ints


def embedding_rows(vocabulary: Vocabulary, items: Ids, categories: Ids) -> Rows:
    """Look ids up; a missing category is the one that the vocabulary knows of the item."""
    found = vocabulary.look_up(items, categories)
    return Rows(found.items, found.categories)


@dataclass(frozen=True)
class Hiding:
    """How training presents some ids as unknown, so that the rows of unknown ids are trained.

    Of the hidden items half lose their category too: both unknown rows are met, that of the items
    beside known categories, where an item is new, and that of the categories, where nothing is
    known at all.

    Attributes:
        share: Of the items, and of the users.
        rng: Chooses them, and what was not done beside a behavior.
    """

    share: float
    rng: np.random.Generator

    def hide(self, rows: Rows, vocabulary: Vocabulary) -> Rows:
        """Present some items as unknown; rows of any shape."""
        drawn = self.rng.random(rows.items.shape)
        return Rows(
            np.where(drawn < self.share, vocabulary.rows_as_unknown(rows.items), rows.items),
            np.where(drawn < self.share * WITH_CATEGORY, UNKNOWN_ROW, rows.categories),
        )
