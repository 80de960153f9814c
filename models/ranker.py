"""Scores of one request: rows in, probabilities out; the same numbers as offline evaluation."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from interest_center.core.behaviors import Behaviors
from interest_center.core.compiled import compiled
from models.ctr_model import CtrModel
from models.inputs import RankInputs
from models.request_batches import hours_and_weekdays
from models.request_rows import BehaviorRows, RequestBatch
from models.vocabulary import ItemColumns, Rows, Vocabulary

_TILE = 1_024


def page_bucket(page: int | None, n_pages: int) -> int:
    """Return the bucket of a page number: 0 for none, else 1 + page, at most ``n_pages``."""
    return 0 if page is None else min(1 + max(page, 0), n_pages)


@compiled
def _fill_in_order(
    columns: tuple[Rows, Rows, Rows, Rows], order: Rows, ordered: Rows, place: Rows
) -> bool:
    """Put columns in the order of the first; return whether all its values differ.

    Args:
        columns: ``[n]`` each.
        order: Of the first column.
        ordered: Filled, ``[4, n]``.
        place: Filled with where each has gone, ``[n]``.
    """
    first = columns[0]
    for k in range(order.shape[0]):
        at = order[k]
        if k and first[at] == first[order[k - 1]]:
            return False
        place[at] = k
        for c in range(4):
            ordered[c, k] = columns[c][at]
    return True


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

    @property
    def searches(self) -> bool:
        """Whether the model reads sub-sequences of categories."""
        return self.model.reader.searches_trigger or self.model.searches_candidates

    def score(self, inputs: RankInputs) -> NDArray[np.float64]:
        """Return the click probability of each candidate, ``[n_candidates]``.

        Raises:
            ValueError: The memory has another size than this model's.
        """
        if not len(inputs.candidate_items):
            return np.zeros(0)
        groups, place = self._distinct(inputs)
        with torch.inference_mode():
            state, present = self._memory(inputs.memory)
            batches = self._tiles(self._shared(inputs), self._found(inputs, groups), groups)
            logits = [self.model(batch, state, present).logits for batch in batches]
            probabilities = torch.sigmoid(torch.cat(logits).double()).numpy()
        return np.asarray(probabilities[place])

    def attended(self, inputs: RankInputs) -> "Attended":
        """Return what each candidate attended to, in the order of the candidates.

        Raises:
            ValueError: The memory has another size than this model's.
        """
        groups, place = self._distinct(inputs)
        n_seen = self.n_seen(inputs)
        with torch.inference_mode():
            state, present = self._memory(inputs.memory)
            batches = self._tiles(self._shared(inputs), self._found(inputs, groups), groups)
            seen = [self.model.see(batch) for batch in batches]
            attention = [self.model.reader.attention(one) for one in seen]
            reads = None
            if present is not None and bool(present):
                reads = [self.model.memory.read_weights(state, one.candidates) for one in seen]
            follows = self.model.reader.trigger_probability(seen[0])
        behaviors = None
        if attention[0] is not None:
            joined = torch.cat([one for one in attention if one is not None], 2)
            behaviors = joined[0, :n_seen].T.numpy()[place]
        return Attended(
            behaviors,
            None if reads is None else torch.cat(reads, 1)[0].numpy()[place],
            None if follows is None or not inputs.trigger_item else float(follows[0]),
        )

    def wanted_categories(
        self,
        candidate_items: NDArray[np.uint64],
        candidate_categories: NDArray[np.uint64],
        trigger_item: int,
        trigger_category: int,
    ) -> NDArray[np.uint64]:
        """Return the categories whose sub-sequences the model reads, for ``RankInputs``.

        Args:
            candidate_items: As in ``RankInputs``, like the rest.
            candidate_categories: 0 where unknown.
            trigger_item: 0 for none.
            trigger_category: 0 where unknown.
        """
        wanted = [np.zeros(0, np.uint64)]
        if self.model.searches_candidates:
            wanted.append(self.vocabulary.categories_of(candidate_items, candidate_categories))
        if self.model.reader.searches_trigger:
            wanted.append(self._trigger(trigger_item, trigger_category).category_ids)
        categories = np.unique(np.concatenate(wanted))
        return np.asarray(categories[categories != 0])

    def _trigger(self, item: int, category: int) -> ItemColumns:
        return self.vocabulary.look_up(np.array([item], np.uint64), np.array([category], np.uint64))

    def _distinct(self, inputs: RankInputs) -> tuple["_Candidates", NDArray[np.int64]]:
        """Return the candidates that differ to the model, and which of them each is."""
        found = self.vocabulary.look_up(inputs.candidate_items, inputs.candidate_categories)
        # What is searched for goes by the id: two unknown categories are not the same.
        ids = found.category_ids if self.model.searches_candidates else np.zeros_like(found.items)
        columns = (found.items, found.categories, found.prices, ids.view(np.int64))
        order = np.argsort(found.items, kind="stable")
        distinct, place = np.empty((4, len(order)), np.int64), np.empty_like(order)
        if not _fill_in_order(columns, order, distinct, place):
            distinct, place = np.unique(np.stack(columns), axis=1, return_inverse=True)
        items, kinds, prices, ids = distinct
        return _Candidates(items, kinds, prices, ids.view(np.uint64)), place.reshape(-1)

    def _memory(self, row: NDArray[np.float32] | None) -> tuple[object, torch.Tensor | None]:
        if self.model.memory is None:
            return None, None
        if row is None:
            return self.model.memory.initial_state(1), torch.tensor([False])
        if row.shape != (self.row_floats,):
            raise ValueError(f"memory of shape {row.shape}, expected ({self.row_floats},)")
        state = self.model.memory.state_of(torch.tensor(row).unsqueeze(0))
        return state, state.n_events > 0

    def _rows(self, histories: Sequence[Behaviors], longest: int, time_ms: int) -> BehaviorRows:
        """Return the newest behaviors of some histories, ``[n, t]``."""
        config = self.model.config
        width = max(1, min(longest, max((len(one.item) for one in histories), default=0)))
        shape = (len(histories), width)
        columns = np.zeros((4, *shape), np.int64)
        # A masked behavior stands for none: no layer has to know tensors without elements.
        mask = np.zeros(shape, np.bool_)
        for row, one in enumerate(histories):
            newest = slice(-longest, None)
            found = self.vocabulary.look_up(one.item[newest], one.category[newest])
            n = slice(0, len(found.items))
            columns[0, row, n], columns[1, row, n] = found.items, found.categories
            columns[2, row, n] = np.minimum(one.event_type[newest], config.n_types)
            columns[3, row, n] = np.maximum(time_ms - one.event_time_ms[newest], 0)
            mask[row, n] = True
        return BehaviorRows(*torch.from_numpy(columns).unbind(), torch.from_numpy(mask))

    def _shared(self, inputs: RankInputs) -> dict[str, Any]:
        """Return what all candidates of a request share."""
        config, known = self.model.config, self.vocabulary
        ring = Behaviors(
            inputs.behavior_items,
            inputs.behavior_categories,
            inputs.behavior_types,
            inputs.behavior_times_ms,
        )
        trigger = self._trigger(inputs.trigger_item, inputs.trigger_category)
        hours, weekdays = hours_and_weekdays(np.array([inputs.time_ms]))
        about = {
            "users": known.user_rows(np.array([inputs.user], np.uint64)),
            "pages": np.array([page_bucket(inputs.page, config.n_pages)]),
            "hours": hours,
            "weekdays": weekdays,
            "triggers": trigger.items,
            "trigger_categories": trigger.categories,
            "trigger_mask": np.array([inputs.trigger_item != 0]),
        }
        shared: dict[str, Any] = {name: torch.from_numpy(array) for name, array in about.items()}
        shared["behaviors"] = self._rows([ring], self._window(inputs), inputs.time_ms)
        if self.model.reader.searches_trigger:
            found = self._subsequences(inputs, trigger.category_ids)
            shared["trigger_behaviors"] = self._rows(found, config.search_length, inputs.time_ms)
        return shared

    def n_seen(self, inputs: RankInputs) -> int:
        """Return how many of the recent behaviors the reader sees, the newest."""
        return min(len(inputs.behavior_items), self._window(inputs))

    def _window(self, inputs: RankInputs) -> int:
        """Return how many of the newest behaviors the reader sees."""
        n = inputs.n_behaviors
        position = len(inputs.behavior_items) if n is None else n
        return position - int(self.model.config.window_starts(np.array([position]))[0])

    def _subsequences(self, inputs: RankInputs, categories: NDArray[np.uint64]) -> list[Behaviors]:
        return [inputs.subsequences.get(one, _NOTHING) for one in categories.tolist()]

    def _found(self, inputs: RankInputs, candidates: "_Candidates") -> dict[str, Any]:
        """Return the sub-sequences of the candidates' categories, and whose is whose."""
        if not self.model.searches_candidates:
            return {}
        categories, group = np.unique(candidates.category_ids, return_inverse=True)
        found = self._subsequences(inputs, categories)
        rows = self._rows(found, self.model.config.search_length, inputs.time_ms)
        return {
            "found": BehaviorRows(*(column.unsqueeze(0) for column in rows)),
            "group": torch.from_numpy(group).unsqueeze(0),
        }

    def _tiles(
        self, shared: dict[str, Any], found: dict[str, Any], candidates: "_Candidates"
    ) -> list[RequestBatch]:
        """Return batches of candidate rows, ``[n]`` each, that fit the cache."""
        tiles = []
        group = found.pop("group", None)
        for first in range(0, len(candidates.items), _TILE):
            tile = slice(first, first + _TILE)
            columns = (candidates.items, candidates.categories, candidates.prices)
            items, categories, prices = (torch.from_numpy(c[tile])[None] for c in columns)
            tiles.append(
                RequestBatch(
                    **shared,
                    **found,
                    candidate_items=items,
                    candidate_categories=categories,
                    candidate_prices=prices,
                    candidate_mask=torch.ones_like(items, dtype=torch.bool),
                    group=None if group is None else group[:, tile],
                )
            )
        return tiles


class Attended(NamedTuple):
    """What the candidates of a request attended to.

    Attributes:
        behaviors: Weight of each of the newest behaviors, oldest first, ``[n_candidates, t]``, on a
            scale of the reader's own; None where the reader attends to none.
        slots: Weight of each memory slot, ``[n_candidates, n_slots]``; None without a memory.
        p_trigger: How far the user follows the trigger, p_tr of DEI2N; None where nobody says it.
    """

    behaviors: NDArray[np.float32] | None
    slots: NDArray[np.float32] | None
    p_trigger: float | None


class _Candidates(NamedTuple):
    """Candidates that differ to the model, ``[n]`` each."""

    items: NDArray[np.int64]
    categories: NDArray[np.int64]
    prices: NDArray[np.int64]
    category_ids: NDArray[np.uint64]


_NOTHING = Behaviors(
    np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.uint8), np.zeros(0, np.int64)
)
