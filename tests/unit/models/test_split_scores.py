"""Scores of a split stand in the order of the table; older states are what they say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_logs import HOUR_MS, make_small_log

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from models.bundle import Bundle, load_bundle, untrained_bundle
from models.samples import PointInTime, point_in_time
from models.split_scores import Besides, score, score_split, split_samples
from models.tables import TEST, Events, Samples

LONG_AGO_MS = 100_000 * HOUR_MS


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    directory = tmp_path_factory.mktemp("bundle")
    untrained_bundle(directory, seed=3)
    return load_bundle(directory)


class Join:
    """Joins a log, and remembers what it was asked."""

    def __init__(self, events: Events, samples: Samples) -> None:
        self.events, self.samples = events, samples
        self.asked: list[tuple[StateConfig, int]] = []

    def __call__(self, state: StateConfig, staleness_ms: int) -> PointInTime:
        self.asked.append((state, staleness_ms))
        return point_in_time(self.events, self.samples, state, staleness_ms=staleness_ms)


def without_events(events: Events) -> Events:
    """Return a log of a user who has no sample."""
    return replace(events, users=np.full_like(events.users, 10_000))


def test_samples_stand_in_the_order_of_the_table() -> None:
    events, samples = make_small_log()
    shown = split_samples(point_in_time(events, samples, StateConfig()), samples, "test")
    np.testing.assert_array_equal(shown.rows, np.flatnonzero(samples.splits == TEST))
    np.testing.assert_array_equal(shown.labels, samples.labels[shown.rows])
    np.testing.assert_array_equal(shown.pages, samples.pages[shown.rows])
    np.testing.assert_array_equal(shown.has_trigger, samples.triggers[shown.rows] != 0)
    for k in range(0, len(shown.rows), 7):
        user, now = samples.users[shown.rows[k]], samples.times_ms[shown.rows[k]]
        own = (events.users == user) & (events.times_ms < now)
        assert shown.history_lengths[k] == own.sum()
    assert shown.place_of(int(shown.rows[5])) == 5


def test_a_row_of_another_split_is_refused() -> None:
    events, samples = make_small_log()
    shown = split_samples(point_in_time(events, samples, StateConfig()), samples, "test")
    for row in (0, 10**9):
        with pytest.raises(ConfigurationError, match="is not in split test"):
            shown.place_of(row)


@pytest.mark.parametrize("with_orders", [False, True])
def test_no_staleness_is_live_and_a_huge_one_is_no_history(
    bundle: Bundle, with_orders: bool
) -> None:
    events, samples = make_small_log()
    if with_orders:
        # Samples of one moment are told apart live, and are one request with an older state.
        events = replace(events, orders=np.zeros(len(events.users), np.int64))
        samples = replace(samples, orders=np.arange(len(samples.users)))
    join = Join(events, samples)
    besides = Besides(lags_ms=(0, 6 * HOUR_MS, LONG_AGO_MS))
    found = score_split(bundle, samples, "test", join, besides)
    live, some, none = found.stale
    np.testing.assert_array_equal(live.scores, found.own)
    assert not live.missed.any()
    assert 0 < some.missed.sum() < none.missed.sum()
    moved = ~np.isclose(some.scores, found.own, rtol=0, atol=1e-6)
    assert moved[some.missed > 0].mean() > 0.9
    assert not moved[some.missed == 0].any()
    np.testing.assert_array_equal(none.missed, found.samples.history_lengths)
    nothing = point_in_time(without_events(events), samples, bundle.state)
    empty = score(bundle, nothing, "test", bundle.updater)
    np.testing.assert_allclose(none.scores, empty, rtol=0, atol=1e-6)


def test_an_older_state_is_a_log_that_ends_earlier(bundle: Bundle) -> None:
    """For one moment: what a request sees with a lag is what a shorter log holds."""
    events, samples = make_small_log()
    samples = replace(samples, times_ms=np.full(len(samples.users), 30 * HOUR_MS))
    lag_ms = 7 * HOUR_MS + 5
    stale = point_in_time(events, samples, bundle.state, staleness_ms=lag_ms)
    early = events.times_ms < 30 * HOUR_MS - lag_ms
    columns = ("users", "items", "categories", "types", "times_ms")
    cut = replace(events, **{name: getattr(events, name)[early] for name in columns})
    short = point_in_time(cut, samples, bundle.state)
    np.testing.assert_array_equal(stale.requests.times_ms, short.requests.times_ms)
    one, other = (score(bundle, data, "test", bundle.updater) for data in (stale, short))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_bases_are_scored_by_their_own_rules(bundle: Bundle, tmp_path: Path) -> None:
    events, samples = make_small_log()
    rules = StateConfig(behavior_types=("click",), memory_types=("click",))
    untrained_bundle(tmp_path, "din", seed=4, state=rules)
    base = load_bundle(tmp_path)
    join = Join(events, samples)
    besides = Besides(bases={"base": base})
    counted = []
    found = score_split(bundle, samples, "test", join, besides, counted.append)
    assert (rules, 0) in join.asked
    alone = score(base, point_in_time(events, samples, rules), "test", None)
    np.testing.assert_array_equal(found.bases["base"], alone)
    assert list(found.rivals()) == ["memory not read", "base", "count baseline"]
    assert sum(counted) == besides.n_scorings(bundle) * len(found.samples.requests)
