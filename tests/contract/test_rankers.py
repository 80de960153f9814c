"""Every ranker x every check that a ranker passes, most of them by the path that requests take.

Which models these are, and why they speak for all: ``test_compositions``.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checked_models import SEED
from numpy.typing import NDArray
from stored_states import Did, Known, make_user_state

from interest_center.core.messages import UserState
from models.bundle import Bundle, load_bundle, untrained_bundle
from models.catalog import Catalog, with_catalog
from models.inputs import RankInputs
from ranking.history import HistoryReader
from ranking.messages import Candidate, RankRequest, RequestEvent, Trigger
from ranking.ranker import rank_inputs

TIME_MS = 1_764_000_000_000
N_CANDIDATES = 150  # more than one tile
STRANGER = np.uint64(2**64 - 1)
NO_CATEGORY = np.zeros(1, np.uint64)
# Float32 sums in another order; the weights here are large, so that scores are easily moved.
CLOSE = {"rtol": 0, "atol": 1e-5}


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


def by_category(history: list[Did]) -> dict[str, list[Did]]:
    """Return the newest behaviors of each category, as a worker would have kept them."""
    found: dict[str, list[Did]] = {}
    for one in history:
        if one.category_id is not None:
            found.setdefault(one.category_id, []).append(one)
    return {category: done[-50:] for category, done in found.items()}


def inputs_of(bundle: Bundle, n_behaviors: int = 60, n_memory: int = 90) -> RankInputs:
    """Lay out a request the way the ranking worker does."""
    history = behaviors(n_behaviors)
    fingerprint = bundle.memory_fingerprint
    known = Known(
        history,
        remembered(behaviors(n_memory), bundle),
        fingerprint,
        fingerprint,
        subsequences=by_category(behaviors(n_memory)),
    )
    candidates = [
        Candidate(str(i * 7 % 1100 + 1), None if i % 2 else str(i % 70 + 1))
        for i in range(N_CANDIDATES)
    ]
    request = RankRequest("u1", candidates, trigger=Trigger("3"), page=2)
    reader = HistoryReader(bundle.state, bundle.updater)
    return rank_inputs(request, reader.read(make_user_state("u1", known)), TIME_MS)


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


def test_swapping_candidates_swaps_their_scores_and_nothing_else(bundle: Bundle) -> None:
    inputs = inputs_of(bundle)
    before = bundle.ranker.score(inputs)
    swapped = np.arange(N_CANDIDATES)
    swapped[[4, 140]] = swapped[[140, 4]]
    shuffled = np.random.default_rng(SEED).permutation(N_CANDIDATES)
    for order in (swapped, shuffled):
        np.testing.assert_array_equal(bundle.ranker.score(only(inputs, order)), before[order])


def test_a_score_does_not_depend_on_the_other_candidates(bundle: Bundle) -> None:
    inputs = inputs_of(bundle)
    together = bundle.ranker.score(inputs)
    alone = [bundle.ranker.score(only(inputs, np.array([i])))[0] for i in range(0, 150, 10)]
    np.testing.assert_allclose(alone, together[::10], **CLOSE)


def test_requests_that_are_scored_together_score_as_alone(bundle: Bundle) -> None:
    """Of other lengths, moments, pages, triggers; without memory, events or candidates."""
    full = inputs_of(bundle)
    nobody = replace(
        inputs_of(bundle, 0, 0), memory=None, trigger_item=0, trigger_category=0, page=None
    )
    requests = [
        full,
        only(nobody, np.arange(0, 40)),
        replace(inputs_of(bundle, 7, 200), time_ms=TIME_MS + 40 * 3_600_000, page=5),
        only(full, np.arange(0)),
        only(replace(inputs_of(bundle, 140, 3), memory=None), np.array([3, 3, 8])),
    ]
    together = bundle.ranker.score_all(requests)
    for found, inputs in zip(together, requests, strict=True):
        np.testing.assert_allclose(found, bundle.ranker.score(inputs), **CLOSE)
    assert [len(found) for found in together] == [150, 40, 150, 0, 3]


def test_scores_are_the_same_every_time_and_inputs_untouched(bundle: Bundle) -> None:
    inputs = inputs_of(bundle)
    arrays = [value for value in vars(inputs).values() if isinstance(value, np.ndarray)]
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    assert bundle.ranker.score(inputs).tobytes() == bundle.ranker.score(inputs).tobytes()
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("n", [2, 3, 130, 257])
def test_candidates_that_are_the_same_to_the_model_score_alike_to_the_last_bit(
    bundle: Bundle, n: int
) -> None:
    """Unknown items of one category, among others, wherever they stand."""
    inputs = inputs_of(bundle)
    items = np.resize(inputs.candidate_items, n)
    categories = np.resize(inputs.candidate_categories, n)
    strangers = np.arange(n) % 2 == 0
    strangers[-1] = True
    items[strangers] = STRANGER - np.arange(strangers.sum(), dtype=np.uint64)
    categories[strangers] = 7
    mixed = replace(inputs, candidate_items=items, candidate_categories=categories)
    scores = bundle.ranker.score(mixed)
    assert len(np.unique(scores[strangers])) == 1
    assert n < 4 or len(np.unique(scores)) > n / 4


def test_unknown_ids_are_accepted(bundle: Bundle) -> None:
    inputs = replace(
        inputs_of(bundle),
        candidate_items=np.full(N_CANDIDATES, STRANGER),
        candidate_categories=np.full(N_CANDIDATES, STRANGER),
        behavior_types=np.full(60, 255, np.uint8),
        trigger_item=int(STRANGER),
    )
    scores = bundle.ranker.score(inputs)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) == 1


@pytest.mark.parametrize("n_behaviors", [0, 1, 100])
@pytest.mark.parametrize("n_memory", [0, 40])
def test_any_length_of_history_is_scored(bundle: Bundle, n_behaviors: int, n_memory: int) -> None:
    inputs = inputs_of(bundle, n_behaviors, n_memory)
    assert np.isfinite(bundle.ranker.score(inputs)).all()
    assert np.isfinite(bundle.ranker.score(replace(inputs, page=None, trigger_item=0))).all()
    assert bundle.ranker.score(only(inputs, np.zeros(0, np.int64))).shape == (0,)


def test_only_the_newest_behaviors_are_read(bundle: Bundle) -> None:
    config = bundle.ranker.model.config
    n = config.longest_window + 40
    length = n - int(config.window_starts(np.array([n]))[0])
    assert config.history_length <= length < n
    longer = replace(
        inputs_of(bundle),
        behavior_items=np.arange(1, n + 1, dtype=np.uint64),
        behavior_categories=np.zeros(n, np.uint64),
        behavior_types=np.ones(n, np.uint8),
        behavior_times_ms=TIME_MS - np.arange(n, 0, -1) * 60_000,
        n_behaviors=n,
    )
    columns = ("items", "categories", "types", "times_ms")
    newest = {f"behavior_{c}": getattr(longer, f"behavior_{c}")[-length:] for c in columns}
    np.testing.assert_array_equal(
        bundle.ranker.score(longer), bundle.ranker.score(replace(longer, **newest))
    )


def test_everything_that_a_request_holds_moves_the_scores(bundle: Bundle) -> None:
    """So that the checks above cannot pass on a model that reads nothing."""
    inputs = inputs_of(bundle)
    scores = bundle.ranker.score(inputs)
    changes = {
        "behavior_items": inputs.behavior_items + np.uint64(1),
        "behavior_categories": inputs.behavior_categories + np.uint64(1),
        "behavior_types": np.full(60, 7, np.uint8),
        "behavior_times_ms": inputs.behavior_times_ms - 10**9,
        "page": 7,
        "trigger_item": 18,
        "trigger_category": 9,
        "time_ms": TIME_MS + 10**11,
    }
    for name, value in changes.items():
        moved = bundle.ranker.score(replace(inputs, **{name: value}))
        assert np.abs(moved - scores).max() > 1e-6, name
    reader = bundle.ranker.model.reader
    moved = bundle.ranker.score(replace(inputs, subsequences={}))
    searches = reader.searches_trigger or reader.searches_candidates
    assert (np.abs(moved - scores).max() > 1e-6) == searches


def test_the_memory_moves_scores_where_there_is_one(bundle: Bundle) -> None:
    inputs = inputs_of(bundle, n_memory=40)
    one = bundle.ranker.score(inputs)
    longer = replace(inputs_of(bundle, n_memory=41), subsequences=inputs.subsequences)
    other = bundle.ranker.score(longer)
    none = bundle.ranker.score(replace(inputs, memory=None))
    if bundle.updater is None:
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, none)
        return
    assert np.abs(one - other).max() > 1e-6
    assert np.abs(one - none).max() > 1e-6
    # A memory without events counts as none.
    empty = replace(inputs, memory=bundle.updater.initial_row())
    np.testing.assert_array_equal(bundle.ranker.score(empty), none)
    with pytest.raises(ValueError, match="memory of shape"):
        bundle.ranker.score(replace(inputs, memory=np.zeros(3, np.float32)))


def test_supplied_events_score_like_the_same_events_pushed(bundle: Bundle) -> None:
    history = behaviors(80)
    fingerprint = bundle.memory_fingerprint
    known = Known(
        history,
        remembered(history, bundle),
        fingerprint,
        fingerprint,
        subsequences=by_category([one for one in history if one.event_type < 7]),
    )
    reader = HistoryReader(bundle.state, bundle.updater)
    request = RankRequest("u1", [Candidate(str(i)) for i in range(1, 50)])
    pushed = reader.read(make_user_state("u1", known))
    brought = reader.complete(reader.read(UserState("u1", 0, 0)), supplied(history, bundle))
    scores = [bundle.ranker.score(rank_inputs(request, one, TIME_MS)) for one in (pushed, brought)]
    np.testing.assert_array_equal(*scores)


def test_saved_and_loaded_bundle_scores_alike(bundle: Bundle, tmp_path: Path) -> None:
    untrained_bundle(tmp_path, bundle.name, SEED)
    again = load_bundle(tmp_path)
    assert again.fingerprint == bundle.fingerprint
    inputs = inputs_of(bundle)
    np.testing.assert_array_equal(again.ranker.score(inputs), bundle.ranker.score(inputs))


def test_a_catalog_describes_new_items_and_leaves_the_others_alone(bundle: Bundle) -> None:
    inputs = inputs_of(bundle)
    known = bundle.vocabulary
    done = set(inputs.behavior_items.tolist())
    like = next(item for item in known.items.tolist() if item not in done)
    row = bundle.ranker.model.item_table.weight[known.item_rows(np.array([like], np.uint64))]
    [category] = known.categories_of(np.array([like], np.uint64), NO_CATEGORY)
    listed = with_catalog(bundle, described_as(STRANGER, category, row.numpy()))
    before = bundle.ranker.score(inputs)
    np.testing.assert_array_equal(listed.ranker.score(inputs), before)

    both = replace(
        inputs,
        candidate_items=np.array([like, STRANGER], np.uint64),
        candidate_categories=np.zeros(2, np.uint64),
    )
    one, other = listed.ranker.score(both)
    assert one == pytest.approx(other, abs=1e-6)
    assert bundle.ranker.score(both)[1] != pytest.approx(one, abs=1e-6)
    model, wider = bundle.ranker.model, listed.ranker.model
    own = {id(tensor) for tensor in wider.parameters()} - {id(t) for t in model.parameters()}
    assert len(own) == len(model.id_tables["items"]), "all other weights are shared"


def described_as(item: np.uint64, category: np.uint64, embedding: NDArray[np.float32]) -> Catalog:
    """Return a catalog of one item."""
    return Catalog.of(
        np.array([item], np.uint64),
        np.array([category], np.uint64),
        np.full(1, np.nan, np.float32),
        np.ones(1, np.bool_),
        embedding,
    )
