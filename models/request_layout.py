"""Requests of the ranking worker as the model reads them: ids to rows, padded, several together."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from interest_center.core.behaviors import Behaviors
from interest_center.core.compiled import Index, compiled
from models.ctr_model import CtrModel
from models.inputs import RankInputs
from models.request_batches import hours_and_weekdays
from models.request_rows import BehaviorRows, RequestBatch
from models.vocabulary import ItemColumns, Rows, Vocabulary

#: Candidates of one request that go through the model together.
TILE = 1_024


def page_bucket(page: int | None, n_pages: int) -> int:
    """Return the bucket of a page number: 0 for none, else 1 + page, at most ``n_pages``."""
    return 0 if page is None else min(1 + max(page, 0), n_pages)


class LaidOut(NamedTuple):
    """Requests as the model reads them.

    Attributes:
        batch: Their rows.
        places: Of each request, where each candidate stands among those that differ, ``[n]``.
    """

    batch: RequestBatch
    places: list[Rows]

    def tiles(self) -> Iterator[RequestBatch]:
        """Yield the batch, that of a single request in parts of so many candidates."""
        batch = self.batch
        s, n = batch.candidate_items.shape
        if s > 1 or n <= TILE:
            yield batch
            return
        for first in range(0, n, TILE):
            tile = slice(first, first + TILE)
            yield batch._replace(
                candidate_items=batch.candidate_items[:, tile],
                candidate_categories=batch.candidate_categories[:, tile],
                candidate_prices=batch.candidate_prices[:, tile],
                candidate_mask=batch.candidate_mask[:, tile],
                group=None if batch.group is None else batch.group[:, tile],
            )


class RequestLayout:
    """Lays requests out for one model.

    Args:
        model: What reads them.
        vocabulary: Ids of its tables.
    """

    def __init__(self, model: CtrModel, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._config = model.config
        self._searches_trigger: bool = model.reader.searches_trigger
        self._searches_candidates: bool = model.searches_candidates

    def lay_out(self, requests: Sequence[RankInputs]) -> LaidOut:
        """Return requests, each with a candidate or more, as one batch.

        Candidates that are the same to the model (unknown items of one category, say) become one.
        """
        config = self._config
        times = np.array([one.time_ms for one in requests])
        hours, weekdays = hours_and_weekdays(times)
        trigger = self._triggers(requests)
        candidates, n_distinct, places = self._candidates(requests)
        rings = [
            Behaviors(
                one.behavior_items,
                one.behavior_categories,
                one.behavior_types,
                one.behavior_times_ms,
            )
            for one in requests
        ]
        columns = {
            "candidate_items": candidates[0],
            "candidate_categories": candidates[1],
            "candidate_prices": candidates[2],
            "candidate_mask": np.arange(candidates.shape[2]) < n_distinct[:, None],
            "users": self._vocabulary.user_rows(np.array([r.user for r in requests], np.uint64)),
            "pages": np.array([page_bucket(one.page, config.n_pages) for one in requests]),
            "hours": hours,
            "weekdays": weekdays,
            "triggers": trigger.items,
            "trigger_categories": trigger.categories,
            "trigger_mask": np.array([one.trigger_item != 0 for one in requests]),
        }
        laid: dict[str, Any] = {name: torch.from_numpy(array) for name, array in columns.items()}
        windows = [self.window(one) for one in requests]
        laid["behaviors"] = self._rows(rings, windows, times)
        if self._searches_trigger:
            of_trigger = [
                one.subsequences.get(category, _NOTHING)
                for one, category in zip(requests, trigger.category_ids.tolist(), strict=True)
            ]
            lengths = [config.search_length] * len(requests)
            laid["trigger_behaviors"] = self._rows(of_trigger, lengths, times)
        if self._searches_candidates:
            ids = candidates[3].view(np.uint64)
            laid |= self._found(requests, ids, n_distinct, times)
        return LaidOut(RequestBatch(**laid), places)

    def _triggers(self, requests: Sequence[RankInputs]) -> ItemColumns:
        """Return what is known of the items that users came from, ``[s]`` each."""
        items = np.array([one.trigger_item for one in requests], np.uint64)
        categories = np.array([one.trigger_category for one in requests], np.uint64)
        return self._vocabulary.look_up(items, categories)

    def window(self, inputs: RankInputs) -> int:
        """Return how many of the newest behaviors the reader sees, if there are so many."""
        n = inputs.n_behaviors
        position = len(inputs.behavior_items) if n is None else n
        return position - int(self._config.window_starts(np.array([position]))[0])

    def _candidates(
        self, requests: Sequence[RankInputs]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], list[Rows]]:
        """Return what differs among the candidates of each request.

        Returns:
            Rows of items and categories, price buckets, category ids, ``[4, s, n]``; how many there
            are of each request, ``[s]``; the place of every candidate among them.
        """
        found = self._vocabulary.look_up(
            np.concatenate([one.candidate_items for one in requests]),
            np.concatenate([one.candidate_categories for one in requests]),
        )
        # What is searched for goes by the id: two unknown categories are not the same.
        ids = found.category_ids if self._searches_candidates else np.zeros_like(found.items)
        columns = (found.items, found.categories, found.prices, ids.view(np.int64))
        lengths = [len(one.candidate_items) for one in requests]
        ordered = np.zeros((4, len(requests), max(lengths)), np.int64)
        counts, places, first = np.array(lengths), [], 0
        for row, n in enumerate(lengths):
            order = np.argsort(found.items[first : first + n], kind="stable")
            place = np.empty_like(order)
            if not _fill_in_order(columns, first, order, ordered, row, place):
                own = np.stack([column[first : first + n] for column in columns])
                distinct, place = np.unique(own, axis=1, return_inverse=True)
                counts[row] = distinct.shape[1]
                ordered[:, row, : counts[row]] = distinct
            places.append(place.reshape(-1))
            first += n
        return np.ascontiguousarray(ordered[:, :, : counts.max()]), counts, places

    def _rows(
        self, histories: Sequence[Behaviors], longest: Sequence[int], times_ms: NDArray[np.int64]
    ) -> BehaviorRows:
        """Return the newest behaviors of some histories, ``[n, t]``.

        Args:
            histories: Oldest behavior first.
            longest: How many of each are taken at most.
            times_ms: Moment of each, from which ages count.
        """
        starts = [max(len(h.item) - n, 0) for h, n in zip(histories, longest, strict=True)]
        item, category, event_type, time_ms = (
            np.concatenate(
                [
                    getattr(history, name)[start:]
                    for history, start in zip(histories, starts, strict=True)
                ]
            )
            for name in ("item", "category", "event_type", "event_time_ms")
        )
        lengths = np.array(
            [len(h.item) - start for h, start in zip(histories, starts, strict=True)]
        )
        # A masked behavior stands for none: no layer has to know tensors without elements.
        width = max(1, int(lengths.max(initial=0)))
        mask = np.arange(width) < lengths[:, None]
        found = self._vocabulary.look_up(item, category)
        columns = np.zeros((4, *mask.shape), np.int64)
        columns[0][mask], columns[1][mask] = found.items, found.categories
        columns[2][mask] = np.minimum(event_type, self._config.n_types)
        columns[3][mask] = np.maximum(np.repeat(times_ms, lengths) - time_ms, 0)
        rows = [torch.from_numpy(column) for column in (*columns, mask)]
        return BehaviorRows(*rows)

    def _found(
        self,
        requests: Sequence[RankInputs],
        category_ids: NDArray[np.uint64],
        n_distinct: NDArray[np.int64],
        times_ms: NDArray[np.int64],
    ) -> dict[str, Any]:
        """Return the sub-sequences of the candidates' categories, and whose is whose."""
        s, n = category_ids.shape
        group = np.zeros((s, n), np.int64)
        histories: list[list[Behaviors]] = []
        for row, inputs in enumerate(requests):
            own = slice(0, n_distinct[row])
            categories, group[row, own] = np.unique(category_ids[row, own], return_inverse=True)
            histories.append(
                [inputs.subsequences.get(one, _NOTHING) for one in categories.tolist()]
            )
        g = max(map(len, histories))
        padded = [one for own in histories for one in (*own, *[_NOTHING] * (g - len(own)))]
        lengths = [self._config.search_length] * len(padded)
        rows = self._rows(padded, lengths, np.repeat(times_ms, g))
        found = BehaviorRows(*(column.view(s, g, -1) for column in rows))
        return {"found": found, "group": torch.from_numpy(group)}


@compiled
def _fill_in_order(
    columns: tuple[Rows, Rows, Rows, Rows],
    first: Index,
    order: Rows,
    ordered: Rows,
    row: Index,
    place: Rows,
) -> bool:
    """Put a part of columns in the order of the first one, unless two of its values are the same.

    Args:
        columns: Of equal length.
        first: Where the part begins.
        order: Of the part, by the first column, ``[n]``.
        ordered: Filled, ``[4, s, n or more]``.
        row: Which of the s.
        place: Filled with where each has gone, ``[n]``.

    Returns:
        Whether all values of the first column differ.
    """
    leading = columns[0]
    for k in range(order.shape[0]):
        at = first + order[k]
        if k and leading[at] == leading[first + order[k - 1]]:
            return False
        place[order[k]] = k
        for c in range(4):
            ordered[c, row, k] = columns[c][at]
    return True


_NOTHING = Behaviors(
    np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.uint8), np.zeros(0, np.int64)
)
