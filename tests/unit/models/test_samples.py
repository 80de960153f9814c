"""A sample sees its past and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from interest_center.core.layout import StateConfig
from models.samples import PointInTime, point_in_time
from models.tables import NO_PAGE, Events, Samples

STATE = StateConfig()
HOUR = 3_600_000


def make_events(rows: list[tuple[int, int, int, int]]) -> Events:
    """Rows of (user, item, type, time_ms), in arrival order."""
    users, items, types, times = (np.array(c) for c in zip(*rows, strict=True))
    return Events(
        users.astype(np.uint64),
        items.astype(np.uint64),
        (items % 5).astype(np.uint64),
        types.astype(np.uint8),
        times.astype(np.int64),
    )


def make_samples(rows: list[tuple[int, int, int]]) -> Samples:
    """Rows of (user, item, time_ms)."""
    users, items, times = (np.array(c) for c in zip(*rows, strict=True))
    n = len(rows)
    nothing = np.zeros(n, np.uint64)
    return Samples(
        users=users.astype(np.uint64),
        items=items.astype(np.uint64),
        categories=nothing,
        times_ms=times.astype(np.int64),
        labels=(items % 2).astype(np.int8),
        splits=np.zeros(n, np.int8),
        pages=np.full(n, NO_PAGE, np.int64),
        triggers=nothing,
        trigger_categories=nothing,
        oracle=None,
    )


def seen(data: PointInTime, request: int) -> tuple[list[int], list[int]]:
    """Items in ring and memory of a request."""
    found = []
    for history, positions in (
        (data.ring, data.requests.ring_positions),
        (data.memory, data.requests.memory_positions),
    ):
        first = history.starts[data.requests.users[request]]
        found.append(history.items[first : first + positions[request]].tolist())
    return found[0], found[1]


def test_only_strictly_earlier_events_are_seen() -> None:
    events = make_events([(1, 10, 1, 100), (1, 11, 1, 200), (2, 12, 1, 150), (1, 13, 1, 300)])
    data = point_in_time(events, make_samples([(1, 5, 200), (1, 6, 201), (3, 7, 999)]), STATE)
    assert [seen(data, k)[0] for k in range(3)] == [[10], [10, 11], []]


def test_types_feed_ring_and_memory_as_configured() -> None:
    state = replace_types(behavior_types=("click",), memory_types=("view", "dislike"))
    codes = {name: 1 + k for k, name in enumerate(state.event_types)}
    events = make_events(
        [(1, 10, codes["click"], 1), (1, 11, codes["view"], 2), (1, 12, codes["dislike"], 3)]
    )
    data = point_in_time(events, make_samples([(1, 5, 10)]), state)
    assert seen(data, 0) == ([10], [11, 12])


def replace_types(**types: tuple[str, ...]) -> StateConfig:
    return StateConfig(**types)


def test_what_arrives_after_an_event_of_the_samples_time_is_not_seen() -> None:
    """Item 12 is older than the sample but arrived after item 11, which is not."""
    events = make_events([(1, 10, 1, 100), (1, 11, 1, 500), (1, 12, 1, 300), (1, 13, 1, 600)])
    data = point_in_time(events, make_samples([(1, 5, 400), (1, 6, 601)]), STATE)
    assert seen(data, 0)[0] == [10]
    assert seen(data, 1)[0] == [10, 11, 12, 13]


def test_late_events_are_left_out_as_the_worker_does() -> None:
    events = make_events(
        [
            (1, 10, 1, 30 * HOUR),
            (1, 11, 1, 6 * HOUR),
            (1, 12, 1, 6 * HOUR - 1),
            (1, 13, 1, 31 * HOUR),
        ]
    )
    data = point_in_time(events, make_samples([(1, 5, 99 * HOUR)]), STATE)
    assert seen(data, 0)[0] == [10, 11, 13]
    assert (data.n_late_events, data.n_duplicate_events) == (1, 0)


def test_a_watermark_decides_whatever_the_times() -> None:
    """Item 11 came late and item 12 has the sample's own time; the state had seen both."""
    rows = [(2, 14, 1, 9), (1, 13, 1, 50), (1, 10, 1, 100), (1, 11, 1, 300), (1, 12, 1, 400)]
    events = replace(make_events(rows), offsets=np.array([2, 9, 3, 8, 5]))
    samples = make_samples([(1, 5, 400), (1, 6, 400), (1, 7, 1), (2, 8, 1), (2, 9, 500)])
    samples = replace(samples, watermarks=np.array([9, 8, 0, 3, 2]))
    data = point_in_time(events, samples, STATE)
    found = {int(data.requests.items[k]): seen(data, k)[0] for k in range(5)}
    assert found == {5: [10, 12, 11], 6: [10, 12], 7: [], 8: [14], 9: []}


def test_offsets_alone_decide_nothing() -> None:
    events = make_events([(1, 10, 1, 100), (1, 11, 1, 300)])
    samples = make_samples([(1, 5, 400), (1, 6, 200)])
    by_time = point_in_time(events, samples, STATE)
    with_offsets = point_in_time(replace(events, offsets=np.array([7, 3])), samples, STATE)
    for k in range(2):
        assert seen(with_offsets, k) == seen(by_time, k)


def test_states_of_some_age_go_by_time_also_with_watermarks() -> None:
    events = replace(make_events([(1, 10, 1, 100), (1, 11, 1, 300)]), offsets=np.array([0, 1]))
    samples = replace(make_samples([(1, 5, 400)]), watermarks=np.array([2]))
    assert seen(point_in_time(events, samples, STATE), 0)[0] == [10, 11]
    assert seen(point_in_time(events, samples, STATE, staleness_ms=100), 0)[0] == [10]


def test_an_event_id_counts_once_as_long_as_it_is_remembered() -> None:
    rows = [
        (1, 10, 1, 1),
        (1, 11, 1, 2),
        (2, 12, 1, 2),
        (1, 13, 1, 3),
        (1, 14, 1, 4),
        (1, 15, 1, 5),
    ]
    events = replace(make_events(rows), event_ids=np.array([5, 5, 5, 6, 7, 5], np.uint64))
    samples = make_samples([(1, 5, 99), (2, 6, 99)])
    data = point_in_time(events, samples, STATE)
    assert [seen(data, k)[0] for k in range(2)] == [[10, 13, 14], [12]]
    assert data.n_duplicate_events == 2
    short = point_in_time(events, samples, StateConfig(n_event_ids=2))
    assert seen(short, 0)[0] == [10, 13, 14, 15]
    assert short.n_duplicate_events == 1


def test_samples_without_any_history_are_counted() -> None:
    events = make_events([(1, 10, 1, 100), (2, 11, 7, 100)])
    samples = make_samples([(1, 5, 100), (1, 6, 101), (1, 7, 101), (2, 6, 200), (3, 7, 999)])
    data = point_in_time(events, samples, STATE)
    assert data.n_samples_without_history == 3
    assert data.has_history.tolist() == [False, True, False, False]


def test_samples_of_one_moment_are_one_request_and_keep_their_rows() -> None:
    samples = make_samples([(1, 7, 5), (2, 8, 5), (1, 9, 5), (1, 9, 6)])
    samples = replace(samples, pages=np.array([1, 1, 1, 2]))
    data = point_in_time(make_events([(1, 1, 1, 1)]), samples, STATE)
    groups = np.split(data.requests.rows, data.requests.starts[1:-1])
    assert sorted(sorted(g.tolist()) for g in groups) == [[0, 2], [1], [3]]
    np.testing.assert_array_equal(data.requests.items, samples.items[data.requests.rows])
    np.testing.assert_array_equal(data.requests.labels, samples.labels[data.requests.rows])


@pytest.mark.parametrize("seed", range(5))
def test_equals_a_plain_loop_on_random_logs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 400
    # Mostly in order, some out of order, many equal times, extreme ones among them.
    times = np.sort(rng.integers(0, 200, n)) * HOUR + rng.integers(-2, 3, n) * 10 * HOUR
    times[rng.integers(0, n, 3)] = [-(2**40), 2**44, 0]
    users, items, types = rng.integers(1, 8, n), rng.integers(1, 50, n), rng.integers(1, 8, n)
    rows = list(zip(users.tolist(), items.tolist(), types.tolist(), times.tolist(), strict=True))
    state = StateConfig(n_event_ids=4)
    ids = rng.integers(0, 40, n)
    events = replace(make_events(rows), event_ids=ids.astype(np.uint64))
    shown = [
        (int(rng.integers(1, 10)), int(rng.integers(1, 50)), int(rng.integers(0, 220)) * HOUR)
        for _ in range(60)
    ]
    data = point_in_time(events, make_samples(shown), state)
    assert data.n_duplicate_events > 5
    assert data.n_late_events > 5
    dislike = 1 + STATE.event_types.index("dislike")
    found = {}
    for k in range(len(data.requests.users)):
        for row in data.requests.rows[data.requests.starts[k] : data.requests.starts[k + 1]]:
            found[int(row)] = seen(data, k)
    for row, (user, _, time_ms) in enumerate(shown):
        newest, expected = None, []
        remembered: list[int] = []
        for (event_user, item, kind, event_time), event_id in zip(rows, ids.tolist(), strict=True):
            if event_user != user or event_id in remembered[-4:]:
                continue
            if newest is not None and event_time < newest - STATE.late_after_ms:
                continue
            newest = event_time if newest is None else max(newest, event_time)
            remembered.append(event_id)
            if newest >= time_ms:
                break
            if kind != dislike:
                expected.append(item)
        assert found[row] == (expected, expected)


def test_a_planted_future_event_changes_nothing() -> None:
    events = [(1, 10, 1, 100), (1, 11, 1, 200)]
    samples = make_samples([(1, 5, 150)])
    before = point_in_time(make_events(events), samples, STATE)
    after = point_in_time(make_events([*events, (1, 5, 1, 150), (1, 5, 1, 151)]), samples, STATE)
    assert seen(before, 0) == seen(after, 0) == ([10], [10])
    earlier = point_in_time(make_events([(1, 5, 1, 50), *events]), samples, STATE)
    assert seen(earlier, 0)[0] == [5, 10]
