"""The oracle's rules on histories short enough to check by eye."""

from typing import Any

from prove.oracle import Oracle, Record, UserState, apply_event, chained, event_hash

HOUR_MS = 3_600_000
START_MS = 1_511_544_000_000


def event(name: str, time_ms: int = START_MS, **changes: Any) -> dict[str, Any]:
    return {
        "event_id": name,
        "user_id": "u",
        "item_id": "i" + name,
        "category_id": "c",
        "event_type": "click",
        "event_time_ms": time_ms,
        **changes,
    }


def record(offset: int, said: dict[str, Any] | None) -> Record:
    return Record(0, offset, START_MS, "u", said)


def test_the_hash_chain_is_that_of_the_documented_formula() -> None:
    assert chained(0, 0) == 0xE220A8397B1DCDAF  # First output of splitmix64 from state 0.


def test_a_recent_event_id_is_a_duplicate_and_a_forgotten_one_is_not() -> None:
    state = UserState()
    assert apply_event(state, event("a")) == "applied"
    assert apply_event(state, event("a")) == "duplicate"
    for number in range(128):
        apply_event(state, event(f"other{number}"))

    assert apply_event(state, event("a")) == "applied"
    assert state.event_count == 130
    assert event_hash("a") in state.recent_ids


def test_late_means_more_than_a_day_behind_the_newest() -> None:
    state = UserState()
    apply_event(state, event("new"))

    assert apply_event(state, event("edge", START_MS - 24 * HOUR_MS)) == "applied"
    assert apply_event(state, event("late", START_MS - 24 * HOUR_MS - 1)) == "late_dropped"
    assert state.last_event_time_ms == START_MS


def test_a_dislike_counts_and_feeds_nothing() -> None:
    state = UserState()
    apply_event(state, event("a", event_type="dislike"))

    assert (state.event_count, state.behaviors, state.subsequences) == (1, [], {})
    assert state.memory_events == []


def test_the_least_recently_updated_category_makes_room() -> None:
    state = UserState()
    for number in range(64):
        apply_event(state, event(f"a{number}", category_id=f"c{number}"))
    apply_event(state, event("again", category_id="c0"))
    apply_event(state, event("new", category_id="c64"))

    assert "c1" not in state.subsequences
    assert len(state.subsequences) == 64
    apply_event(state, event("back", category_id="c1"))
    assert [b["item_id"] for b in state.subsequences["c1"].behaviors] == ["iback"]


def test_rings_keep_the_last() -> None:
    state = UserState()
    for number in range(120):
        apply_event(state, event(f"a{number}"))

    assert [b["item_id"] for b in state.behaviors] == [f"ia{n}" for n in range(20, 120)]
    assert state.subsequences["c"].behaviors[0]["item_id"] == "ia70"


def test_an_erasure_forgets_everything_and_counts() -> None:
    oracle = Oracle([record(0, event("a")), record(1, None), record(3, event("a"))])

    assert oracle.state_of("u").event_count == 1
    assert oracle.state_of("u", 2).event_count == 0
    counters = oracle.counters(0)
    assert (counters["applied"], counters["erased"], counters["consumed"]) == (2, 1, 3)


def test_dead_letters_count_and_change_nobody() -> None:
    oracle = Oracle([record(0, event("a")), Record(0, 1, START_MS, reason="not_json")])

    assert oracle.users == ["u"]
    assert oracle.counters(0)["dead_lettered"] == 1
    assert oracle.counters(0, watermark=1)["dead_lettered"] == 0
