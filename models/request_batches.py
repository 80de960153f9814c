"""Requests of the tables as tensors: rows of the embedding tables, padded at the end."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.ctr_model import CtrConfig, RequestBatch
from models.ranker import age_buckets
from models.samples import Ints, PointInTime
from models.tables import NO_PAGE
from models.vocabulary import UNKNOWN_ROW, Vocabulary

#: Of the items presented as unknown, the share whose category is presented as unknown as well.
_WITH_CATEGORY = 0.5


@dataclass(frozen=True)
class Rows:
    """Items and categories as rows of the embedding tables."""

    items: Ints
    categories: Ints


def embedding_rows(
    vocabulary: Vocabulary, items: NDArray[np.uint64], categories: NDArray[np.uint64]
) -> Rows:
    """Look ids up; a missing category is the one that the vocabulary knows of the item."""
    return Rows(vocabulary.item_rows(items), vocabulary.category_rows(items, categories))


def hide(rows: Rows, share: float, rng: np.random.Generator) -> Rows:
    """Present some items as unknown, and half of those without their category too.

    So both unknown rows are trained: that of the items beside known categories, where an item is
    new, and that of the categories, where nothing is known at all.

    Args:
        rows: Any shape.
        share: Of the items.
        rng: Chooses them.
    """
    drawn = rng.random(rows.items.shape)
    return Rows(
        np.where(drawn < share, UNKNOWN_ROW, rows.items),
        np.where(drawn < share * _WITH_CATEGORY, UNKNOWN_ROW, rows.categories),
    )


def ranges(starts: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """Return all indices of the ranges, one after the other, and the range of each."""
    owner = np.repeat(np.arange(len(starts)), lengths)
    first = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) - np.repeat(first - starts, lengths), owner


class RequestTensors:
    """Builds batches of requests.

    Args:
        data: Histories and requests.
        vocabulary: Ids of the tables.
        config: What the model sees.
    """

    def __init__(self, data: PointInTime, vocabulary: Vocabulary, config: CtrConfig) -> None:
        self.data = data
        self.vocabulary = vocabulary
        self.config = config
        requests = data.requests
        self._ring = embedding_rows(vocabulary, data.ring.items, data.ring.categories)
        self._candidates = embedding_rows(vocabulary, requests.items, requests.categories)
        self._triggers = embedding_rows(vocabulary, requests.triggers, requests.trigger_categories)
        self._pages = np.where(
            requests.pages == NO_PAGE,
            0,
            np.clip(requests.pages, 0, max(config.n_pages - 1, 0)) + 1,
        )

    def batch(
        self, chosen: Ints, unknown_share: float = 0.0, rng: np.random.Generator | None = None
    ) -> tuple[RequestBatch, Tensor]:
        """Return requests as tensors, and the labels of their candidates.

        Args:
            chosen: Indices of the requests, ``[s]``.
            unknown_share: Share of items to present as unknown, see ``hide``.
            rng: Chooses them.
        """
        candidates, labels = self._candidates_of(chosen)
        behaviors = self._behaviors_of(chosen)
        if unknown_share and rng is not None:
            for given, prefix in ((behaviors, ""), (candidates, "candidate_")):
                items, categories = f"{prefix}items", f"{prefix}categories"
                hidden = hide(Rows(given[items], given[categories]), unknown_share, rng)
                given[items], given[categories] = hidden.items, hidden.categories
        about = {
            "pages": self._pages[chosen],
            "triggers": self._triggers.items[chosen],
            "trigger_categories": self._triggers.categories[chosen],
            "trigger_mask": self.data.requests.triggers[chosen] != 0,
        }
        columns = {**behaviors, **candidates, **about}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in columns.items()}
        return RequestBatch(**tensors), torch.from_numpy(labels.astype(np.float32))

    def sample_indices(self, chosen: Ints) -> Ints:
        """Return the position among all candidates of each candidate of the requests, in order."""
        starts = self.data.requests.starts
        return ranges(starts[chosen], starts[chosen + 1] - starts[chosen])[0]

    def _candidates_of(self, chosen: Ints) -> tuple[dict[str, NDArray[Any]], Ints]:
        requests = self.data.requests
        first = requests.starts[chosen]
        lengths = requests.starts[chosen + 1] - first
        index, owner = ranges(first, lengths)
        place = index - first[owner]
        shape = (len(chosen), int(lengths.max()))
        items, categories = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        items[owner, place] = self._candidates.items[index]
        categories[owner, place] = self._candidates.categories[index]
        columns: dict[str, NDArray[Any]] = {
            "candidate_items": items,
            "candidate_categories": categories,
            "candidate_mask": np.arange(shape[1]) < lengths[:, None],
        }
        return columns, requests.labels[index].astype(np.int64)

    def _behaviors_of(self, chosen: Ints) -> dict[str, NDArray[Any]]:
        requests, ring, config = self.data.requests, self.data.ring, self.config
        positions = requests.ring_positions[chosen]
        lengths = np.minimum(positions, config.history_length)
        first = ring.starts[requests.users[chosen]] + positions - lengths
        width = max(1, int(lengths.max(initial=0)))
        mask = np.arange(width) < lengths[:, None]
        index = np.where(mask, first[:, None] + np.arange(width), 0)
        ages = requests.times_ms[chosen][:, None] - _take(ring.times_ms, index)
        return {
            "items": np.where(mask, _take(self._ring.items, index), 0),
            "categories": np.where(mask, _take(self._ring.categories, index), 0),
            "types": np.where(mask, np.minimum(_take(ring.types, index), config.n_types), 0).astype(
                np.int64
            ),
            "ages": np.where(mask, age_buckets(ages, config.n_ages), 0),
            "mask": mask,
        }


def _take(values: NDArray[np.generic], index: Ints) -> Ints:
    """Return ``values[index]`` as int64; zeros when there are no values at all."""
    if not len(values):
        return np.zeros(index.shape, np.int64)
    return np.asarray(values[index], np.int64)
