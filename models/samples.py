"""Tables to point-in-time requests: what was known of a user just before each impression.

A request sees the events that arrived before the first event that is not strictly older than it;
so nothing of its own time or later is seen, whatever the order of the table. Where both tables have
a column ``order``, an event of equal time and smaller order counts as older. Where the events have
an ``offset`` and the samples a ``watermark``, a request sees the events below its watermark, as the
ranking did that it was logged by, whatever their times. Arrival order is the order of ring and
memory. Late events, and those whose id the user's state still remembers, are left
out, as the worker does; a table without event ids has no such ones.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from interest_center.core.layout import (
    FEEDS_BEHAVIORS,
    FEEDS_MEMORY,
    FEEDS_SUBSEQUENCE,
    StateConfig,
    feeds_by_type,
)
from models.applied_events import APPLIED, DUPLICATE, LATE, judge
from models.subsequences import Subsequences
from models.tables import Events, Samples

Ints = NDArray[np.int64]
Orders = tuple[Ints, Ints]

_MAX_CANDIDATES = 64


@dataclass(frozen=True)
class Histories:
    """Events of each user, one user after the other, in arrival order.

    Attributes:
        starts: First event of each user, ``[n_users + 1]``.
        items: ``[n_events]``, like the rest.
        categories: 0 where an event has none.
        types: Codes of the state configuration.
        times_ms: Event times.
    """

    starts: Ints
    items: NDArray[np.uint64]
    categories: NDArray[np.uint64]
    types: NDArray[np.uint8]
    times_ms: Ints

    def select(self, keep: NDArray[np.bool_]) -> Self:
        """Return the histories of the events marked ``keep``."""
        kept = np.concatenate((np.zeros(1, np.int64), np.cumsum(keep, dtype=np.int64)))
        return type(self)(
            kept[self.starts],
            self.items[keep],
            self.categories[keep],
            self.types[keep],
            self.times_ms[keep],
        )


@dataclass(frozen=True)
class Requests:
    """Impressions of one user at one moment and page, scored together.

    Attributes:
        users: Index of the user in the histories, ``[n_requests]``, like the next ones.
        times_ms: When.
        pages: Page number or ``NO_PAGE``.
        triggers: Trigger item, 0 for none.
        trigger_categories: Its category, 0 where it is not known.
        ring_positions: Events of the user's ring history that it sees.
        memory_positions: Events of the user's memory history that it sees.
        subsequence_positions: Events of the user's categorised history that it sees.
        splits: ``TRAIN``, ``VALIDATION`` or ``TEST``.
        starts: First candidate of each request, ``[n_requests + 1]``.
        items: Candidates, ``[n_samples]``, like the next ones.
        categories: Their categories.
        labels: Clicks.
        rows: Row of the sample table.
    """

    users: Ints
    times_ms: Ints
    pages: Ints
    triggers: NDArray[np.uint64]
    trigger_categories: NDArray[np.uint64]
    ring_positions: Ints
    memory_positions: Ints
    subsequence_positions: Ints
    splits: NDArray[np.int8]
    starts: Ints
    items: NDArray[np.uint64]
    categories: NDArray[np.uint64]
    labels: NDArray[np.int8]
    rows: Ints


@dataclass(frozen=True)
class PointInTime:
    """Everything that training and evaluation read.

    Attributes:
        ring: Events that feed the ring of recent behaviors.
        memory: Events that feed the long-term memory.
        categorised: Events that feed the sub-sequences of categories.
        user_ids: Id of each user of the histories, sorted, ``[n_users]``.
        state: The rules that the histories follow.
        requests: Who was shown what, with the positions in both.
        n_duplicate_events: Events of these users left out because their id was remembered.
        n_late_events: Events of these users left out because they were late.
    """

    ring: Histories
    memory: Histories
    categorised: Histories
    user_ids: NDArray[np.uint64]
    state: StateConfig
    requests: Requests
    n_duplicate_events: int
    n_late_events: int

    @cached_property
    def subsequences(self) -> Subsequences:
        """The sub-sequences of ``categorised``, searchable."""
        return Subsequences.of(self.categorised.starts, self.categorised.categories, self.state)

    @property
    def has_history(self) -> NDArray[np.bool_]:
        """Whether each request sees any event of its user, ``[n_requests]``."""
        return (self.requests.ring_positions > 0) | (self.requests.memory_positions > 0)

    @property
    def n_samples_without_history(self) -> int:
        """Samples that see no event of their user."""
        return int(np.diff(self.requests.starts)[~self.has_history].sum())


def _arrange(events: Events, users: NDArray[np.uint64], offsets: Ints | None) -> tuple[Ints, Ints]:
    """Return the events in user order, arrival order within, and where each user begins.

    Users without samples are left out.

    Args:
        events: In the order of their times.
        users: Those with samples, sorted.
        offsets: Decide about the arrival where they are given.
    """
    place = np.searchsorted(users, events.users)
    place[place == len(users)] = 0
    wanted = users[place] == events.users
    keys = (place[wanted],) if offsets is None else (offsets[wanted], place[wanted])
    order = np.flatnonzero(wanted)[np.lexsort(keys)]
    counts = np.bincount(place[wanted], minlength=len(users))
    return order, np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))


def _histories(events: Events, order: Ints, starts: Ints) -> Histories:
    return Histories(
        starts,
        events.items[order],
        events.categories[order],
        events.types[order],
        events.times_ms[order],
    )


def _newest_so_far(ranks: Ints, starts: Ints, n_ranks: int) -> Ints:
    """Return for each event the largest time rank of its user up to it, lifted by user.

    Users are lifted above each other, so that one running maximum, and later one binary search,
    serves all.
    """
    lift = np.repeat(np.arange(len(starts) - 1, dtype=np.int64) * n_ranks, np.diff(starts))
    lifted: Ints = np.maximum.accumulate(ranks + lift)
    return lifted


def _fed(histories: Histories, positions: Ints, users: Ints, keep: NDArray[np.bool_]) -> Ints:
    """Turn positions among all events into positions among those marked ``keep``."""
    kept = np.concatenate((np.zeros(1, np.int64), np.cumsum(keep, dtype=np.int64)))
    first = histories.starts[users]
    fed: Ints = kept[first + positions] - kept[first]
    return fed


def _group(samples: Samples, users: Ints, orders: Ints | None) -> tuple[Ints, Ints]:
    """Return the sample rows in request order, and where each request begins in them."""
    keys = (
        *(() if orders is None else (orders,)),
        samples.trigger_categories,
        samples.triggers,
        samples.pages,
        samples.splits,
        samples.times_ms,
        users,
    )
    order = np.lexsort(keys)
    new = np.zeros(len(order), np.bool_)
    new[0] = True
    for key in keys:
        new[1:] |= key[order][1:] != key[order][:-1]
    within = np.arange(len(order)) - np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    new |= within % _MAX_CANDIDATES == 0
    return order, np.flatnonzero(new)


def _positions(starts: Ints, users: Ints, moments: Orders, orders: Orders | None) -> Ints:
    """Return how many events of its user each request sees.

    Args:
        starts: First applied event of each user, ``[n_users + 1]``.
        users: User of each request.
        moments: Of the applied events, and before which each request sees.
        orders: Ranks of both among equal moments, None where the moment decides.
    """
    n_events = len(moments[0])
    _, ranks = np.unique(np.concatenate(moments), return_inverse=True)
    if orders is not None:
        within = np.concatenate(orders)
        by_moment = np.lexsort((within, ranks))
        later = np.diff(ranks[by_moment]) > 0
        later |= np.diff(within[by_moment]) > 0
        ranks[by_moment[1:]] = np.cumsum(later)
        ranks[by_moment[:1]] = 0
    n_ranks = int(ranks.max(initial=0)) + 1
    newest = _newest_so_far(ranks[:n_events], starts, n_ranks)
    seen = ranks[n_events:] + users * n_ranks
    positions: Ints = np.searchsorted(newest, seen, side="left") - starts[users]
    return positions


def point_in_time(
    events: Events, samples: Samples, state: StateConfig, staleness_ms: int = 0
) -> PointInTime:
    """Join events and samples so that every sample sees its past only.

    Args:
        events: Behavior events in arrival order.
        samples: Impressions in any order.
        state: Which event types feed ring and memory, and which events are applied.
        staleness_ms: Age of the states that requests read: each sees only events older than itself
            by more than this, whatever their ``order`` and ``offset``; its own time stays.
    """
    user_ids, users = np.unique(samples.users, return_inverse=True)
    users = users.astype(np.int64)
    offsets = None
    if not staleness_ms and samples.watermarks is not None:
        offsets = events.offsets
    arranged, starts = _arrange(events, user_ids, offsets)
    ids = None if events.event_ids is None else events.event_ids[arranged]
    verdicts = judge(starts, events.times_ms[arranged], ids, state)
    applied = arranged[verdicts == APPLIED]
    everything = _histories(events, arranged, starts).select(verdicts == APPLIED)
    by_offset = by_order = None
    if offsets is not None and samples.watermarks is not None:
        by_offset = (offsets[applied], samples.watermarks)
    elif not staleness_ms and events.orders is not None and samples.orders is not None:
        by_order = (events.orders[applied], samples.orders)
    ranked = by_offset or by_order
    order, firsts = _group(samples, users, None if ranked is None else ranked[1])
    heads = order[firsts]
    moments = by_offset or (everything.times_ms, samples.times_ms - staleness_ms)
    positions = _positions(
        everything.starts,
        users[heads],
        (moments[0], moments[1][heads]),
        None if by_order is None else (by_order[0], by_order[1][heads]),
    )

    feeds = feeds_by_type(state)[everything.types]
    in_ring, in_memory = (feeds & FEEDS_BEHAVIORS) > 0, (feeds & FEEDS_MEMORY) > 0
    in_category = (feeds & FEEDS_SUBSEQUENCE) > 0
    requests = Requests(
        users=users[heads],
        times_ms=samples.times_ms[heads],
        pages=samples.pages[heads],
        triggers=samples.triggers[heads],
        trigger_categories=samples.trigger_categories[heads],
        ring_positions=_fed(everything, positions, users[heads], in_ring),
        memory_positions=_fed(everything, positions, users[heads], in_memory),
        subsequence_positions=_fed(everything, positions, users[heads], in_category),
        splits=samples.splits[heads],
        starts=np.append(firsts, len(order)),
        items=samples.items[order],
        categories=samples.categories[order],
        labels=samples.labels[order],
        rows=order,
    )
    return PointInTime(
        ring=everything.select(in_ring),
        memory=everything.select(in_memory),
        categorised=everything.select(in_category),
        user_ids=user_ids,
        state=state,
        requests=requests,
        n_duplicate_events=int((verdicts == DUPLICATE).sum()),
        n_late_events=int((verdicts == LATE).sum()),
    )
