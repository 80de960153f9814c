"""Requests of the tables as tensors: rows of the embedding tables, padded at the end."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.ctr_config import CtrConfig
from models.durations import DAY_MS
from models.embedding_rows import Hiding, Ids, Rows, embedding_rows
from models.registry import load_class, reader_model
from models.request_rows import BehaviorRows, RequestBatch
from models.samples import Histories, Ints, PointInTime
from models.tables import NO_PAGE
from models.vocabulary import UNKNOWN_ROW, Vocabulary
from models.walks import Walks

_HOUR_MS = 3_600_000


def ranges(starts: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """Return all indices of the ranges, one after the other, and the range of each."""
    owner = np.repeat(np.arange(len(starts)), lengths)
    first = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) - np.repeat(first - starts, lengths), owner


def hours_and_weekdays(times_ms: Ints) -> tuple[Ints, Ints]:
    """Return hour of the day and day of the week of each time, UTC; Thursday is 0."""
    return times_ms // _HOUR_MS % 24, times_ms // DAY_MS % 7


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
        reader = load_class(reader_model(config.reader).module)
        self._searches_trigger: bool = reader.searches_trigger
        self._searches_candidates: bool = reader.searches_candidates or config.n_counts > 0
        #: Rows of the behaviors, of the candidates and of the triggers.
        self.ring_rows = embedding_rows(vocabulary, data.ring.items, data.ring.categories)
        candidates = vocabulary.look_up(requests.items, requests.categories)
        triggers = vocabulary.look_up(requests.triggers, requests.trigger_categories)
        self.candidate_rows = Rows(candidates.items, candidates.categories)
        self.trigger_rows = Rows(triggers.items, triggers.categories)
        self._prices = candidates.prices
        self._users = vocabulary.user_rows(data.user_ids)
        self._hours, self._weekdays = hours_and_weekdays(requests.times_ms)
        self._pages = np.where(
            requests.pages == NO_PAGE,
            0,
            np.clip(requests.pages, 0, max(config.n_pages - 1, 0)) + 1,
        )
        if self._searches_trigger or self._searches_candidates:
            found = data.categorised
            self._categorised = embedding_rows(vocabulary, found.items, found.categories)
            self._candidate_ids = candidates.category_ids
            self._trigger_ids = triggers.category_ids

    def batch(
        self, chosen: Ints, hiding: Hiding | None = None, walks: bool = False
    ) -> tuple[RequestBatch, Tensor]:
        """Return requests as tensors, and the labels of their candidates.

        Args:
            chosen: Indices of the requests, ``[s]``.
            hiding: In training: what to present as unknown.
            walks: Whether to give the behaviors as windows of shared walks too, if the reader's
                behaviors begin at shared events.
        """
        requests = self.data.requests
        first = requests.starts[chosen]
        lengths = requests.starts[chosen + 1] - first
        index, owner = ranges(first, lengths)
        shape = (len(chosen), int(lengths.max()))
        at = (owner, index - first[owner])
        candidates = self._shown(
            Rows(self.candidate_rows.items[index], self.candidate_rows.categories[index]), hiding
        )
        users = self._users[requests.users[chosen]]
        if hiding is not None:
            users = np.where(hiding.rng.random(len(users)) < hiding.share, UNKNOWN_ROW, users)
        columns: dict[str, NDArray[Any]] = {
            "candidate_items": _spread(candidates.items, at, shape),
            "candidate_categories": _spread(candidates.categories, at, shape),
            "candidate_prices": _spread(self._prices[index], at, shape),
            "candidate_mask": np.arange(shape[1]) < lengths[:, None],
            "users": users,
            "pages": self._pages[chosen],
            "hours": self._hours[chosen],
            "weekdays": self._weekdays[chosen],
            "triggers": self.trigger_rows.items[chosen],
            "trigger_categories": self.trigger_rows.categories[chosen],
            "trigger_mask": requests.triggers[chosen] != 0,
        }
        tensors: dict[str, Any] = {name: _tensor(column) for name, column in columns.items()}
        if walks and self.config.restart_every:
            tensors |= self._walked(chosen, hiding)
        else:
            tensors["behaviors"] = self._behaviors_of(chosen, hiding)
        if self._searches_trigger:
            tensors["trigger_behaviors"] = self._search(
                chosen, np.arange(len(chosen)), self._trigger_ids[chosen], hiding
            )
        if self._searches_candidates:
            tensors |= self._found(chosen, index, at, shape, hiding)
        labels = torch.from_numpy(requests.labels[index].astype(np.float32))
        return RequestBatch(**tensors), labels

    def sample_indices(self, chosen: Ints) -> Ints:
        """Return the position among all candidates of each candidate of the requests, in order."""
        starts = self.data.requests.starts
        return ranges(starts[chosen], starts[chosen + 1] - starts[chosen])[0]

    def with_negatives(self, batch: RequestBatch, hiding: Hiding) -> RequestBatch:
        """Return the batch with a known item drawn beside each behavior, all alike likely.

        As many are presented as unknown as of the behaviors: that must not tell the two apart.
        """
        known = self.vocabulary
        if not len(known.items):
            return batch
        beside = batch.behaviors if batch.walk is None else batch.walk
        drawn = hiding.rng.integers(0, len(known.items), tuple(beside.items.shape))
        categories = known.category_rows(known.items[drawn], known.item_categories[drawn])
        rows = hiding.hide(Rows(drawn + 1, categories), known)
        return batch._replace(
            negative_items=_tensor(rows.items), negative_categories=_tensor(rows.categories)
        )

    def _shown(self, rows: Rows, hiding: Hiding | None) -> Rows:
        return rows if hiding is None else hiding.hide(rows, self.vocabulary)

    def _behaviors_of(self, chosen: Ints, hiding: Hiding | None) -> BehaviorRows:
        requests, ring = self.data.requests, self.data.ring
        positions = requests.ring_positions[chosen]
        starts = self.config.window_starts(positions)
        lengths = positions - starts
        first = ring.starts[requests.users[chosen]] + starts
        width = max(1, int(lengths.max(initial=0)))
        mask = np.arange(width) < lengths[:, None]
        index = np.where(mask, first[:, None] + np.arange(width), 0)
        times = requests.times_ms[chosen][:, None]
        return self._rows(ring, self.ring_rows, index, mask, times, hiding)

    def _walked(self, chosen: Ints, hiding: Hiding | None) -> dict[str, Any]:
        """Return the walks of the requests, and their behaviors as windows of them."""
        requests, ring = self.data.requests, self.data.ring
        positions = requests.ring_positions[chosen]
        starts = self.config.window_starts(positions)
        walks = Walks.of(requests.users[chosen], starts, positions)
        index, inside = walks.events(ring.starts)
        walk = self._rows(ring, self.ring_rows, index, inside, np.zeros(1, np.int64), hiding)
        width = max(1, int(walks.seen.max(initial=0)))
        mask = np.arange(width) < walks.seen[:, None]
        at = np.where(mask, walks.group[:, None] * index.shape[1] + np.arange(width), 0)
        times = requests.times_ms[chosen][:, None] - _take(ring.times_ms, index.reshape(-1)[at])
        place, real = _tensor(at), _tensor(mask)
        columns = (walk.items, walk.categories, walk.types)
        items, categories, types = (column.flatten()[place] * real for column in columns)
        ages = _tensor(np.where(mask, np.maximum(times, 0), 0))
        behaviors = BehaviorRows(items, categories, types, ages, real)
        return {"behaviors": behaviors, "walk": walk, "walk_at": place}

    def memory_events(
        self, index: Ints, mask: NDArray[np.bool_], hiding: Hiding
    ) -> tuple[Tensor, Tensor]:
        """Return item and category rows of the memory's events at ``index`` where ``mask``."""
        known = self._memory_rows
        rows = hiding.hide(
            Rows(_take(known.items, index), _take(known.categories, index)), self.vocabulary
        )
        return _tensor(np.where(mask, rows.items, 0)), _tensor(np.where(mask, rows.categories, 0))

    @cached_property
    def _memory_rows(self) -> Rows:
        events = self.data.memory
        return embedding_rows(self.vocabulary, events.items, events.categories)

    def _search(
        self, chosen: Ints, owner: Ints, categories: Ids, hiding: Hiding | None
    ) -> BehaviorRows:
        """Return the sub-sequence of one category each, ``[n, h]``.

        Args:
            chosen: Requests.
            owner: Index in ``chosen`` of the request that each search belongs to, ``[n]``.
            categories: Ids to search for, ``[n]``.
            hiding: See ``batch``.
        """
        requests, found = self.data.requests, self.data.subsequences
        who = chosen[owner]
        first, lengths = found.find(
            requests.users[who],
            categories,
            requests.subsequence_positions[who],
            self.config.search_length,
        )
        width = max(1, int(lengths.max(initial=0)))
        mask = np.arange(width) < lengths[:, None]
        place = np.where(mask, first[:, None] + np.arange(width), 0)
        index = found.order[place] if len(found.order) else place
        times = requests.times_ms[who][:, None]
        return self._rows(self.data.categorised, self._categorised, index, mask, times, hiding)

    def _found(
        self,
        chosen: Ints,
        index: Ints,
        at: tuple[Ints, Ints],
        shape: tuple[int, int],
        hiding: Hiding | None,
    ) -> dict[str, Any]:
        """Return the sub-sequences of the candidates' categories, and whose is whose."""
        owner, wanted = at[0], self._candidate_ids[index]
        order = np.lexsort((wanted, owner))
        new = np.ones(len(order), np.bool_)
        new[1:] = (owner[order][1:] != owner[order][:-1]) | (
            wanted[order][1:] != wanted[order][:-1]
        )
        pair = np.empty(len(order), np.int64)
        pair[order] = np.cumsum(new) - 1
        pair_owner = owner[order][new]
        first = np.searchsorted(pair_owner, np.arange(len(chosen)))
        rows = self._search(chosen, pair_owner, wanted[order][new], hiding)
        place = np.arange(len(pair_owner)) - first[pair_owner]
        g = int(place.max(initial=0)) + 1
        spread = [rows_.new_zeros(len(chosen), g, rows_.shape[1]) for rows_ in rows]
        for empty, full in zip(spread, rows, strict=True):
            empty[torch.from_numpy(pair_owner), torch.from_numpy(place)] = full
        group = _spread(place[pair], at, shape)
        return {"found": BehaviorRows(*spread), "group": _tensor(group)}

    def _rows(
        self,
        history: Histories,
        known: Rows,
        index: Ints,
        mask: NDArray[np.bool_],
        times_ms: Ints,
        hiding: Hiding | None,
    ) -> BehaviorRows:
        """Return the events of a history at ``index`` where ``mask``."""
        rows = self._shown(Rows(_take(known.items, index), _take(known.categories, index)), hiding)
        types = np.minimum(_take(history.types, index), self.config.n_types)
        ages = np.maximum(times_ms - _take(history.times_ms, index), 0)
        return BehaviorRows(
            items=_tensor(np.where(mask, rows.items, 0)),
            categories=_tensor(np.where(mask, rows.categories, 0)),
            types=_tensor(np.where(mask, types, 0)),
            ages_ms=_tensor(np.where(mask, ages, 0)),
            mask=_tensor(mask),
        )


def _spread(values: Ints, at: tuple[Ints, Ints], shape: tuple[int, int]) -> Ints:
    """Return values at their places, zeros elsewhere."""
    spread = np.zeros(shape, np.int64)
    spread[at] = values
    return spread


def _tensor(column: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(column))


def _take(values: NDArray[np.generic], index: Ints) -> Ints:
    """Return ``values[index]`` as int64; zeros when there are no values at all."""
    if not len(values):
        return np.zeros(index.shape, np.int64)
    return np.asarray(values[index], np.int64)
