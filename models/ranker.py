"""Scores of one request: rows in, probabilities out; the same numbers as offline evaluation."""

import numpy as np
import torch
from numpy.typing import NDArray

from models.ctr_model import CtrModel, RequestBatch
from models.inputs import RankInputs
from models.vocabulary import Vocabulary

_TILE = 128


def age_buckets(ages_ms: NDArray[np.int64], n_ages: int) -> NDArray[np.int64]:
    """Return the bucket of each age: doublings of a second, in [0, n_ages)."""
    seconds = np.maximum(ages_ms, 0) / 1000.0
    return np.minimum(np.log2(1.0 + seconds), max(n_ages - 1, 0)).astype(np.int64)


def page_bucket(page: int | None, n_pages: int) -> int:
    """Return the bucket of a page number: 0 for none, else 1 + page, at most ``n_pages``."""
    return 0 if page is None else min(1 + max(page, 0), n_pages)


class Ranker:
    """A trained click model behind numpy.

    A candidate's score depends on the request and on that candidate only. Candidates that are the
    same to the model (unknown items of one category, say) are scored once, so that their scores are
    equal to the last bit, wherever they stand. Scoring goes in tiles that fit the cache; safe to
    call from several threads.

    Args:
        model: The model, put into evaluation form here.
        vocabulary: Ids of its tables.
    """

    def __init__(self, model: CtrModel, vocabulary: Vocabulary) -> None:
        self.model = model.eval().requires_grad_(requires_grad=False)
        self.vocabulary = vocabulary
        self.row_floats: int = 0 if model.memory is None else model.memory.config.row_floats

    def score(self, inputs: RankInputs) -> NDArray[np.float64]:
        """Return the click probability of each candidate, ``[n_candidates]``.

        Raises:
            ValueError: The memory has another size than this model's.
        """
        if not len(inputs.candidate_items):
            return np.zeros(0)
        known = self.vocabulary
        items = known.item_rows(inputs.candidate_items)
        kinds = known.category_rows(inputs.candidate_items, inputs.candidate_categories)
        pairs, place = np.unique(items * known.n_category_rows + kinds, return_inverse=True)
        items, kinds = np.divmod(pairs, known.n_category_rows)
        with torch.inference_mode():
            state, present = self._memory(inputs.memory)
            batches = self._tiles(self._shared(inputs), items, kinds)
            logits = [self.model(batch, state, present) for batch in batches]
            probabilities = torch.sigmoid(torch.cat(logits).double()).numpy()
        return np.asarray(probabilities[place])

    def _memory(self, row: NDArray[np.float32] | None) -> tuple[object, torch.Tensor | None]:
        if self.model.memory is None:
            return None, None
        if row is None:
            return self.model.memory.initial_state(1), torch.tensor([False])
        if row.shape != (self.row_floats,):
            raise ValueError(f"memory of shape {row.shape}, expected ({self.row_floats},)")
        state = self.model.memory.state_of(torch.tensor(row).unsqueeze(0))
        return state, state.n_events > 0

    def _shared(self, inputs: RankInputs) -> dict[str, torch.Tensor]:
        """Return what all candidates of a request share."""
        config, known = self.model.config, self.vocabulary
        newest = slice(-config.history_length, None)
        items, categories = inputs.behavior_items[newest], inputs.behavior_categories[newest]
        ages = age_buckets(inputs.time_ms - inputs.behavior_times_ms[newest], config.n_ages)
        types = np.minimum(inputs.behavior_types[newest], config.n_types)
        behaviors = {
            "items": known.item_rows(items),
            "categories": known.category_rows(items, categories),
            "types": types.astype(np.int64),
            "ages": ages,
            "mask": np.ones(len(items), np.bool_),
        }
        if not len(items):
            # A masked behavior stands for none: no layer has to know tensors without elements.
            behaviors = {name: np.zeros(1, array.dtype) for name, array in behaviors.items()}
        shared = {name: torch.from_numpy(array).unsqueeze(0) for name, array in behaviors.items()}
        trigger = np.array([inputs.trigger_item], np.uint64)
        trigger_category = np.array([inputs.trigger_category], np.uint64)
        about = {
            "pages": np.array([page_bucket(inputs.page, config.n_pages)]),
            "triggers": known.item_rows(trigger),
            "trigger_categories": known.category_rows(trigger, trigger_category),
            "trigger_mask": trigger != 0,
        }
        return shared | {name: torch.from_numpy(array) for name, array in about.items()}

    def _tiles(
        self, shared: dict[str, torch.Tensor], items: NDArray[np.int64], kinds: NDArray[np.int64]
    ) -> list[RequestBatch]:
        """Return batches of candidate rows, ``[n]`` each, that fit the cache."""
        tiles = []
        for first in range(0, len(items), _TILE):
            rows = torch.from_numpy(items[first : first + _TILE]).unsqueeze(0)
            tiles.append(
                RequestBatch(
                    **shared,
                    candidate_items=rows,
                    candidate_categories=torch.from_numpy(kinds[first : first + _TILE])[None],
                    candidate_mask=torch.ones_like(rows, dtype=torch.bool),
                )
            )
        return tiles
