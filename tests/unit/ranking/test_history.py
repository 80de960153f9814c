"""What is read of a state, what is not, and how the difference is said."""

import numpy as np
import pytest
from stored_states import Did, Known, make_user_state

from interest_center.core.errors import BadRequestError
from interest_center.core.ids import encode_id
from interest_center.core.layout import StateConfig
from interest_center.core.messages import UserState
from models.bundle import Bundle
from ranking.history import (
    MEMORY_MISMATCH,
    MEMORY_NOT_BUILT,
    STATE_MISMATCH,
    STATE_TIMEOUT,
    STATE_UNREADABLE,
    HistoryReader,
)
from ranking.messages import RequestEvent

TIME_MS = 1_764_000_000_000
CLICK, DISLIKE = 1, 7


@pytest.fixture
def reader(bundle: Bundle) -> HistoryReader:
    return HistoryReader(bundle.state, bundle.updater)


def stored(bundle: Bundle, **changes: object) -> UserState:
    """Return the state of a user with three behaviors and a memory of the bundle's weights."""
    behaviors = [Did("1", "c"), Did("b", None, event_time_ms=TIME_MS + 5), Did("3", "c", 2)]
    assert bundle.updater is not None
    known = {
        "behaviors": behaviors,
        "memory": bundle.updater.initial_row() + 1,
        "written_by": bundle.memory_fingerprint,
        "served_by": bundle.memory_fingerprint,
    }
    return make_user_state("u1", Known(**(known | changes)))  # type: ignore[arg-type]


def test_a_whole_state_is_read(bundle: Bundle, reader: HistoryReader) -> None:
    history = reader.read(stored(bundle))
    assert history.behaviors.item.tolist() == [1, encode_id("b"), 3]
    assert history.behaviors.category.tolist() == [encode_id("c"), 0, encode_id("c")]
    assert history.behaviors.event_type.tolist() == [1, 1, 2]
    assert history.as_of_ms == TIME_MS + 5
    assert history.watermark == 7
    assert history.source == "state"
    assert history.degraded is None
    assert bundle.updater is not None
    assert history.memory is not None
    np.testing.assert_array_equal(history.memory, bundle.updater.initial_row() + 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"written_by": 5, "served_by": 5}, MEMORY_MISMATCH),
        ({"written_by": 5}, MEMORY_MISMATCH),
        ({"memory": None, "served_by": 5}, MEMORY_MISMATCH),
        ({"memory": None, "served_by": 0}, MEMORY_NOT_BUILT),
        ({"memory": None}, MEMORY_NOT_BUILT),
    ],
)
def test_a_memory_of_other_weights_or_none_is_not_read_and_said(
    bundle: Bundle, reader: HistoryReader, changes: dict[str, object], reason: str
) -> None:
    history = reader.read(stored(bundle, **changes))
    assert history.memory is None
    assert history.degraded == reason
    assert len(history.behaviors.item) == 3


def test_a_state_by_other_rules_is_not_read(bundle: Bundle, reader: HistoryReader) -> None:
    rules = StateConfig(event_types=(*bundle.state.event_types[::-1],))
    history = reader.read(stored(bundle, rules=rules))
    assert history.degraded == STATE_MISMATCH
    assert len(history.behaviors.item) == 0
    assert history.memory is None


def test_a_user_who_did_nothing_to_remember_misses_no_memory(
    bundle: Bundle, reader: HistoryReader
) -> None:
    counts = [0] * 6 + [3]
    state = stored(bundle, behaviors=[], memory=None, served_by=0, type_counts=counts)
    assert reader.read(state).degraded is None


def test_a_bundle_without_memory_misses_none(bundle: Bundle) -> None:
    history = HistoryReader(bundle.state, None).read(stored(bundle, written_by=5, served_by=5))
    assert history.memory is None
    assert history.degraded is None


def test_an_unknown_user_has_an_empty_history(reader: HistoryReader) -> None:
    history = reader.read(UserState("u1", partition=0, watermark=12))
    assert len(history.behaviors.item) == 0
    assert (history.source, history.watermark, history.as_of_ms) == ("none", 12, None)
    assert history.degraded is None


@pytest.mark.parametrize("record", ["profile", "memory"])
def test_damaged_records_are_never_read(bundle: Bundle, reader: HistoryReader, record: str) -> None:
    state = stored(bundle)
    damaged = bytearray(getattr(state, record))
    damaged[-9] ^= 1
    parts = {"profile": state.profile, "memory": state.memory} | {record: bytes(damaged)}
    history = reader.read(
        UserState(
            "u1",
            0,
            7,
            memory_fingerprint=bundle.memory_fingerprint,
            state_rules=bundle.state.fingerprint,
            **parts,
        )
    )
    assert history.degraded == STATE_UNREADABLE
    assert len(history.behaviors.item) == 0
    assert history.memory is None


def supplied(n: int, event_type: str = "click") -> list[RequestEvent]:
    return [RequestEvent(str(i + 1), TIME_MS + i, "c", event_type) for i in range(n)]


def test_supplied_events_stand_in_for_an_unknown_user(
    bundle: Bundle, reader: HistoryReader
) -> None:
    unknown = reader.read(UserState("u1", partition=0, watermark=12))
    history = reader.complete(unknown, supplied(150) + supplied(0))
    assert history.behaviors.item.tolist() == list(range(51, 151))
    assert history.source == "request"
    assert history.as_of_ms == TIME_MS + 149
    assert history.degraded is None
    assert bundle.updater is not None
    rows = bundle.updater.initial_row()[None, :].copy()
    ids = np.arange(1, 151, dtype=np.uint64)
    bundle.updater.update_many(
        rows, np.zeros(150, np.int64), ids, np.full(150, encode_id("c"), np.uint64)
    )
    np.testing.assert_array_equal(history.memory, rows[0])


def test_supplied_events_follow_the_rules_of_their_types(
    bundle: Bundle, reader: HistoryReader
) -> None:
    unknown = reader.missing(STATE_TIMEOUT)
    history = reader.complete(unknown, supplied(2, "dislike"))
    assert len(history.behaviors.item) == 0
    assert history.memory is None
    assert history.degraded == STATE_TIMEOUT
    rules = StateConfig(behavior_types=("click", "dislike"))
    kept = HistoryReader(rules, bundle.updater).complete(unknown, supplied(2, "dislike"))
    assert kept.behaviors.event_type.tolist() == [DISLIKE, DISLIKE]
    assert kept.memory is None


def test_supplied_events_do_not_displace_a_state(bundle: Bundle, reader: HistoryReader) -> None:
    history = reader.read(stored(bundle))
    assert reader.complete(history, supplied(3)) is history


def test_an_unknown_event_type_is_a_wrong_field(reader: HistoryReader) -> None:
    events = [*supplied(1), *supplied(1, "glance")]
    with pytest.raises(BadRequestError) as refused:
        reader.codes_of(events)
    assert refused.value.field == "events[1].event_type"
