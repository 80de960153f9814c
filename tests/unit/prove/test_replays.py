"""The replay of a log: what is pushed before each request, and which requests are drawn."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from prove.replays import Asked, requests_of, rounds_of
from prove.rows import NotShownError


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Write two users: ann has two moments, bob one; events stand before, at and after them."""
    events = [("ann", 1), ("ann", 5), ("bob", 6), ("ann", 10), ("ann", 12), ("bob", 30)]
    pl.DataFrame(
        {
            "user_id": [user for user, _ in events],
            "event_time_ms": [time_ms for _, time_ms in events],
            "event_id": [f"{user}-{time_ms}" for user, time_ms in events],
        }
    ).write_parquet(tmp_path / "events.parquet")
    pl.DataFrame(
        {
            "user_id": ["ann", "ann", "ann", "bob", "ann", "bob"],
            "time_ms": [10, 10, 10, 20, 25, 3],
            "page": [0, 0, 1, None, 0, 0],
            "item_id": ["a", "b", "a", "c", "a", "a"],
            "category_id": ["x", None, "x", "y", "x", "x"],
            "trigger_item_id": [None, None, "t", None, None, None],
            "trigger_category_id": [None, None, "x", None, None, None],
            "split": ["test"] * 5 + ["train"],
        },
    ).write_parquet(tmp_path / "samples.parquet")
    return tmp_path


def test_a_request_comes_after_all_earlier_events_of_its_user_and_before_all_others(
    tables: Path,
) -> None:
    requests = requests_of(tables / "samples.parquet", "test", 4, np.random.default_rng(0))
    assert len(requests) == 4
    pushed: list[str] = []
    asked = []
    for one in rounds_of(requests, tables / "events.parquet"):
        times = [event["event_time_ms"] for event in one.events]
        assert times == sorted(times)
        pushed += [event["event_id"] for event in one.events]
        for request, done in one.requests:
            own = [place for place in pushed if place.startswith(request.user)]
            assert own == [event["event_id"] for event in done]
            asked.append((request.user, request.time_ms, request.page, own))
    assert sorted(asked, key=str) == [
        ("ann", 10, 0, ["ann-1", "ann-5"]),
        ("ann", 10, 1, ["ann-1", "ann-5"]),
        ("ann", 25, 0, ["ann-1", "ann-5", "ann-10", "ann-12"]),
        ("bob", 20, None, ["bob-6"]),
    ]


def test_samples_of_one_page_and_trigger_are_one_request(tables: Path) -> None:
    requests = requests_of(tables / "samples.parquet", "test", 4, np.random.default_rng(0))
    first, second = (
        next(r for r in requests if (r.user, r.time_ms, r.page) == ("ann", 10, page))
        for page in (0, 1)
    )
    assert (first.rows, first.body["candidates"]) == (
        [0, 1],
        [{"item_id": "a", "category_id": "x"}, {"item_id": "b", "category_id": None}],
    )
    assert "trigger" not in first.body
    assert second.body["trigger"] == {"item_id": "t", "category_id": "x"}
    with pytest.raises(NotShownError, match="holds 4 requests"):
        requests_of(tables / "samples.parquet", "test", 5, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        ({}, ""),
        ({"degraded": "state_timeout"}, "state_timeout"),
        ({"as_of": 12}, "as of 12, not 5"),
        ({"history": "none"}, "history none"),
    ],
)
def test_an_answer_of_another_state_is_told(
    tables: Path, answer: dict[str, object], trouble: str
) -> None:
    requests = requests_of(tables / "samples.parquet", "test", 4, np.random.default_rng(0))
    request = next(r for r in requests if (r.user, r.page) == ("ann", 0))
    items = [{"item_id": "b", "probability": 0.2}, {"item_id": "a", "probability": 0.1}]
    told = {"degraded": None, "as_of": 5, "history": "state", "items": items, **answer}
    asked = Asked(request, [{"event_time_ms": 1}, {"event_time_ms": 5}], told)
    assert asked.trouble == trouble
    assert asked.probabilities == {0: 0.1, 1: 0.2}
