"""What every ranker must do, through the path that requests take."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from stored_states import Did, Known, make_user_state

from interest_center.core.messages import UserState
from models.bundle import Bundle, load_bundle, untrained_bundle
from models.inputs import RankInputs
from models.registry import model_names
from ranking.catalog import BundleCatalog
from ranking.history import HistoryReader
from ranking.messages import Candidate, RankRequest, RequestEvent, Trigger
from ranking.ranker import rank_inputs

TIME_MS = 1_764_000_000_000
N_CANDIDATES = 150
# Float32 sums in another order; the weights here are large, so that scores are easily moved.
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module", params=model_names())
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Load an untrained bundle of each model."""
    directory: Path = tmp_path_factory.mktemp("bundle")
    untrained_bundle(directory, request.param)
    return load_bundle(directory)


def behaviors(n: int) -> list[Did]:
    """Return a history with known, unknown and category-less items of several types."""
    rng = np.random.default_rng(n)
    return [
        Did(
            item_id=str(rng.integers(1, 1200)) if i % 5 else f"item-{i}",
            category_id=None if i % 3 == 0 else str(rng.integers(1, 60)),
            event_type=int(rng.integers(1, 7)),
            event_time_ms=TIME_MS - (n - i) * 60_000,
        )
        for i in range(n)
    ]


def supplied(history: list[Did], bundle: Bundle) -> list[RequestEvent]:
    names = bundle.state.event_types
    return [
        RequestEvent(one.item_id, one.event_time_ms, one.category_id, names[one.event_type - 1])
        for one in history
    ]


def remembered(history: list[Did], bundle: Bundle) -> NDArray[np.float32] | None:
    """Return the memory of a history, as a worker would have built it."""
    unknown = UserState("u1", 0, 0)
    reader = HistoryReader(bundle.state, bundle.updater)
    return reader.complete(reader.read(unknown), supplied(history, bundle)).memory


def inputs_of(bundle: Bundle, n_behaviors: int = 60, n_memory: int = 90) -> RankInputs:
    """Lay out a request the way the ranking worker does."""
    history = behaviors(n_behaviors)
    fingerprint = bundle.memory_fingerprint
    known = Known(history, remembered(behaviors(n_memory), bundle), fingerprint, fingerprint)
    candidates = [
        Candidate(str(i * 7 % 1100 + 1), None if i % 2 else str(i % 70 + 1))
        for i in range(N_CANDIDATES)
    ]
    request = RankRequest("u1", candidates, trigger=Trigger("3"), page=2)
    reader = HistoryReader(bundle.state, bundle.updater)
    state = make_user_state("u1", known)
    return rank_inputs(request, reader.read(state), BundleCatalog(), TIME_MS)


def only(inputs: RankInputs, chosen: NDArray[np.int64]) -> RankInputs:
    """Return the request with these candidates, in this order."""
    return replace(
        inputs,
        candidate_items=inputs.candidate_items[chosen],
        candidate_categories=inputs.candidate_categories[chosen],
    )


def test_probabilities_are_probabilities_and_differ(bundle: Bundle) -> None:
    scores = bundle.ranker.score(inputs_of(bundle))
    assert scores.shape == (N_CANDIDATES,)
    assert scores.dtype == np.float64
    assert ((scores > 0) & (scores < 1)).all()
    assert len(np.unique(scores.round(9))) > N_CANDIDATES / 2


def test_swapping_two_candidates_swaps_two_scores_and_nothing_else(bundle: Bundle) -> None:
    inputs = inputs_of(bundle)
    before = bundle.ranker.score(inputs)
    swapped = np.arange(N_CANDIDATES)
    swapped[[4, 140]] = swapped[[140, 4]]
    np.testing.assert_allclose(bundle.ranker.score(only(inputs, swapped)), before[swapped], **CLOSE)


def test_a_score_does_not_depend_on_the_other_candidates(bundle: Bundle) -> None:
    inputs = inputs_of(bundle)
    together = bundle.ranker.score(inputs)
    alone = [bundle.ranker.score(only(inputs, np.array([i])))[0] for i in range(0, 150, 10)]
    np.testing.assert_allclose(alone, together[::10], **CLOSE)


def test_scores_are_the_same_every_time_and_inputs_untouched(bundle: Bundle) -> None:
    inputs = inputs_of(bundle)
    arrays = {name: value for name, value in vars(inputs).items() if isinstance(value, np.ndarray)}
    copies = {name: value.copy() for name, value in arrays.items()}
    first = bundle.ranker.score(inputs)
    np.testing.assert_array_equal(bundle.ranker.score(inputs), first)
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, copies[name])


@pytest.mark.parametrize("n_behaviors", [0, 1, 100])
@pytest.mark.parametrize("n_memory", [0, 40])
def test_any_length_of_history_is_scored(bundle: Bundle, n_behaviors: int, n_memory: int) -> None:
    scores = bundle.ranker.score(inputs_of(bundle, n_behaviors, n_memory))
    assert np.isfinite(scores).all()


def test_recent_behaviors_move_scores(bundle: Bundle) -> None:
    one = bundle.ranker.score(inputs_of(bundle, n_behaviors=20))
    other = bundle.ranker.score(inputs_of(bundle, n_behaviors=21))
    assert np.abs(one - other).max() > 1e-4


def test_the_memory_moves_scores_where_there_is_one(bundle: Bundle) -> None:
    one = bundle.ranker.score(inputs_of(bundle, n_memory=40))
    other = bundle.ranker.score(inputs_of(bundle, n_memory=41))
    none = bundle.ranker.score(replace(inputs_of(bundle), memory=None))
    if bundle.memory_fingerprint:
        assert np.abs(one - other).max() > 1e-6
        assert np.abs(one - none).max() > 1e-6
    else:
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, none)


def test_supplied_events_score_like_the_same_events_pushed(bundle: Bundle) -> None:
    history = behaviors(80)
    fingerprint = bundle.memory_fingerprint
    known = Known(history, remembered(history, bundle), fingerprint, fingerprint)
    reader = HistoryReader(bundle.state, bundle.updater)
    request = RankRequest("u1", [Candidate(str(i)) for i in range(1, 50)])
    pushed = reader.read(make_user_state("u1", known))
    brought = reader.complete(reader.read(UserState("u1", 0, 0)), supplied(history, bundle))
    scores = [
        bundle.ranker.score(rank_inputs(request, one, BundleCatalog(), TIME_MS))
        for one in (pushed, brought)
    ]
    np.testing.assert_array_equal(*scores)
