"""What is known of a user when a request is scored: from the center's records, or as supplied.

Pure. Every way in which a part may be missing has a name here; the answer carries it and the
metrics count it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from interest_center.core.behaviors import Behaviors, Profile
from interest_center.core.errors import BadRequestError, CorruptRecordError
from interest_center.core.ids import encode_id
from interest_center.core.layout import StateConfig
from interest_center.core.messages import UserState
from interest_center.core.protocols import MemoryUpdater
from interest_center.core.records import (
    decode_memory,
    decode_profile,
    decode_subsequence,
    memory_head,
)
from models.subsequences import Subsequences
from ranking.messages import RequestEvent

MEMORY_MISMATCH = "memory_mismatch"
MEMORY_NOT_BUILT = "memory_not_built"
STATE_MISMATCH = "state_mismatch"
STATE_TIMEOUT = "state_timeout"
STATE_UNAVAILABLE = "state_unavailable"
STATE_UNREADABLE = "state_unreadable"

Source = Literal["state", "request", "none"]


@dataclass(frozen=True)
class History:
    """A user as the models see one.

    Attributes:
        behaviors: Recent behaviors, oldest first.
        memory: Long-term memory, None when there is none or it may not be read.
        as_of_ms: Event time of the last event in it, None without events.
        watermark: Offset up to which the state was read, None when it was not.
        source: Where the behaviors come from.
        degraded: Why a part is missing, None when none is.
        subsequences: By category id, the behaviors of the categories that were asked for.
        n_behaviors: Behaviors that the user ever did, those that the ring has forgotten included.
    """

    behaviors: Behaviors
    memory: NDArray[np.float32] | None = None
    as_of_ms: int | None = None
    watermark: int | None = None
    source: Source = "none"
    degraded: str | None = None
    subsequences: Mapping[int, Behaviors] = field(default_factory=dict)
    n_behaviors: int = 0


def no_behaviors() -> Behaviors:
    """Return the behaviors of somebody who has done nothing."""
    return Behaviors(
        np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.uint8), np.zeros(0, np.int64)
    )


class HistoryReader:
    """Turns records and supplied events into histories, by the rules a bundle was trained with.

    Args:
        rules: State rules of the bundle.
        updater: The bundle's memory, None without one.
    """

    def __init__(self, rules: StateConfig, updater: MemoryUpdater | None) -> None:
        self._rules = rules
        self._fingerprint = rules.fingerprint
        self._updater = updater
        self._codes = {name: code for code, name in enumerate(rules.event_types, start=1)}
        self._memory_codes = {self._codes[name] for name in rules.memory_types}
        self._behavior_codes = {self._codes[name] for name in rules.behavior_types}
        self._subsequence_codes = {self._codes[name] for name in rules.subsequence_types}

    def read(self, state: UserState) -> History:
        """Decode the records of one user.

        They are read only when they follow the bundle's state rules, the memory only when the
        weights that wrote it are the bundle's own. Records that cannot be read are as good as none,
        and said so.
        """
        try:
            return self._read(state)
        except CorruptRecordError:
            return self.missing(STATE_UNREADABLE)

    def missing(self, reason: str) -> History:
        """Return the history of a user whose state could not be read."""
        return History(no_behaviors(), degraded=reason)

    def _read(self, state: UserState) -> History:
        if state.profile is None:
            return History(no_behaviors(), watermark=state.watermark)
        if state.state_rules != self._fingerprint:
            return self.missing(STATE_MISMATCH)
        profile = decode_profile(state.profile)
        memory, degraded = self._memory(state, profile)
        return History(
            behaviors=profile,
            memory=memory,
            as_of_ms=profile.last_event_time_ms,
            watermark=state.watermark,
            source="state",
            degraded=degraded,
            n_behaviors=sum(profile.type_counts.get(code, 0) for code in self._behavior_codes),
            subsequences={
                category: decode_subsequence(record)
                for category, record in state.subsequences.items()
            },
        )

    def _memory(
        self, state: UserState, profile: Profile
    ) -> tuple[NDArray[np.float32] | None, str | None]:
        """Return the memory, or why there is none although the user did what it would remember."""
        if self._updater is None:
            return None, None
        wanted = self._updater.fingerprint
        if state.memory is not None:
            if memory_head(state.memory)[0] != wanted:
                return None, MEMORY_MISMATCH
            return decode_memory(state.memory), None
        if not any(profile.type_counts.get(code) for code in self._memory_codes):
            return None, None
        if state.memory_fingerprint in (0, wanted):
            return None, MEMORY_NOT_BUILT
        return None, MEMORY_MISMATCH

    def complete(self, history: History, events: list[RequestEvent]) -> History:
        """Return the history with supplied events, where the state knows of none.

        The events are applied by the same rules as if they had been pushed, memory included, so
        that the scores are those that the center's state would give.

        Raises:
            BadRequestError: An event type is not one of the bundle's.
        """
        codes = self.codes_of(events)
        if not events or history.source == "state":
            return history
        items = np.array([encode_id(event.item_id) for event in events], np.uint64)
        categories = np.array(
            [encode_id(event.category_id) if event.category_id else 0 for event in events],
            np.uint64,
        )
        times = np.array([event.event_time_ms for event in events], np.int64)
        kept = np.flatnonzero(np.isin(codes, list(self._behavior_codes)))
        n_behaviors = len(kept)
        kept = kept[-self._rules.n_behaviors :]
        remembered = np.isin(codes, list(self._memory_codes))
        everything = Behaviors(items, categories, codes, times)
        return replace(
            history,
            behaviors=Behaviors(items[kept], categories[kept], codes[kept], times[kept]),
            memory=self._remember(items[remembered], categories[remembered]),
            as_of_ms=events[-1].event_time_ms,
            source="request",
            subsequences=self._by_category(everything),
            n_behaviors=n_behaviors,
        )

    def _by_category(self, done: Behaviors) -> dict[int, Behaviors]:
        """Return the sub-sequences of somebody who did this and nothing else."""
        kept = np.flatnonzero(np.isin(done.event_type, list(self._subsequence_codes)))
        starts = np.array([0, len(kept)])
        found = Subsequences.of(starts, done.category[kept], self._rules)
        wanted = np.unique(found.categories)
        who, end = np.zeros(len(wanted), np.int64), np.full(len(wanted), len(kept))
        first, lengths = found.find(who, wanted, end, self._rules.n_subsequence_behaviors)
        by_category = {}
        for category, begin, n in zip(wanted.tolist(), first, lengths, strict=True):
            at = kept[found.order[begin : begin + n]]
            if n:
                by_category[category] = Behaviors(
                    done.item[at], done.category[at], done.event_type[at], done.event_time_ms[at]
                )
        return by_category

    def codes_of(self, events: list[RequestEvent]) -> NDArray[np.uint8]:
        """Return the codes of the events' types.

        Raises:
            BadRequestError: A type is not one of the bundle's.
        """
        codes = np.zeros(len(events), np.uint8)
        for index, event in enumerate(events):
            code = self._codes.get(event.event_type)
            if code is None:
                known = ", ".join(self._codes)
                raise BadRequestError(f"not one of {known}", f"events[{index}].event_type")
            codes[index] = code
        return codes

    def _remember(
        self, items: NDArray[np.uint64], categories: NDArray[np.uint64]
    ) -> NDArray[np.float32] | None:
        """Return the memory of somebody who did this and nothing else."""
        if self._updater is None or not len(items):
            return None
        rows = np.ascontiguousarray(self._updater.initial_row()[None, :])
        self._updater.update_many(rows, np.zeros(len(items), np.int64), items, categories)
        row: NDArray[np.float32] = rows[0]
        return row
