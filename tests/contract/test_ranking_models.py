"""Every model of the registry, with no state around it: offline equals online, purity, padding."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from interest_center.core.layout import StateConfig
from models.bundle import Bundle, load_bundle, untrained_bundle
from models.inputs import RankInputs
from models.prediction import predict
from models.registry import model_names
from models.request_batches import RequestTensors
from models.samples import point_in_time
from models.tables import Events, Samples

SEED = 20240612
N_CANDIDATES = 150  # more than one tile
STATE = StateConfig()


@pytest.fixture(scope="module", params=model_names())
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    directory = tmp_path_factory.mktemp("bundle")
    untrained_bundle(directory, model=request.param, seed=SEED)
    return load_bundle(directory)


def memory_after(
    bundle: Bundle, items: NDArray[np.uint64], categories: NDArray[np.uint64]
) -> NDArray[np.float32] | None:
    if bundle.updater is None or not len(items):
        return None
    rows = bundle.updater.initial_row()[None].copy()
    bundle.updater.update_many(rows, np.zeros(len(items), np.int64), items, categories)
    return rows[0]


def make_inputs(bundle: Bundle, n_behaviors: int = 60) -> RankInputs:
    rng = np.random.default_rng(SEED)
    items = rng.integers(1, 1100, n_behaviors).astype(np.uint64)
    categories = rng.integers(0, 55, n_behaviors).astype(np.uint64)
    return RankInputs(
        behavior_items=items,
        behavior_categories=categories,
        behavior_types=rng.integers(1, 7, n_behaviors).astype(np.uint8),
        behavior_times_ms=np.sort(rng.integers(0, 10**9, n_behaviors)),
        memory=memory_after(bundle, items, categories),
        candidate_items=rng.integers(1, 1100, N_CANDIDATES).astype(np.uint64),
        candidate_categories=rng.integers(0, 55, N_CANDIDATES).astype(np.uint64),
        time_ms=10**9 + 5,
        page=2,
        trigger_item=17,
    )


def only(inputs: RankInputs, chosen: NDArray[np.int64]) -> RankInputs:
    return replace(
        inputs,
        candidate_items=inputs.candidate_items[chosen],
        candidate_categories=inputs.candidate_categories[chosen],
    )


def test_swaps_and_independence_across_tiles(bundle: Bundle) -> None:
    inputs = make_inputs(bundle)
    scores = bundle.ranker.score(inputs)
    order = np.random.default_rng(SEED).permutation(N_CANDIDATES)
    swapped = bundle.ranker.score(only(inputs, order))
    np.testing.assert_allclose(swapped, scores[order], atol=1e-6, rtol=0)
    for k in (0, 77, N_CANDIDATES - 1):
        alone = bundle.ranker.score(only(inputs, np.array([k])))
        np.testing.assert_allclose(alone, scores[[k]], atol=1e-6, rtol=0)


def test_deterministic_and_inputs_untouched(bundle: Bundle) -> None:
    inputs = make_inputs(bundle)
    arrays = [v for v in vars(inputs).values() if isinstance(v, np.ndarray)]
    before = [a.copy() for a in arrays]
    for array in arrays:
        array.setflags(write=False)
    assert bundle.ranker.score(inputs).tobytes() == bundle.ranker.score(inputs).tobytes()
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_saved_and_loaded_bundle_scores_alike(bundle: Bundle, tmp_path: Path) -> None:
    untrained_bundle(tmp_path, model=bundle.name, seed=SEED)
    again = load_bundle(tmp_path)
    assert again.fingerprint == bundle.fingerprint
    inputs = make_inputs(bundle)
    np.testing.assert_array_equal(again.ranker.score(inputs), bundle.ranker.score(inputs))


def test_unknown_ids_are_accepted_and_score_alike(bundle: Bundle) -> None:
    strangers = np.full(N_CANDIDATES, 2**64 - 1, np.uint64)
    inputs = replace(
        make_inputs(bundle),
        candidate_items=strangers,
        candidate_categories=strangers,
        behavior_types=np.full(60, 255, np.uint8),
        trigger_item=2**64 - 1,
    )
    scores = bundle.ranker.score(inputs)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores, scores[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("n_behaviors", [0, 1])
def test_short_histories_and_no_candidates(bundle: Bundle, n_behaviors: int) -> None:
    inputs = replace(make_inputs(bundle, n_behaviors), page=None, trigger_item=0)
    assert np.isfinite(bundle.ranker.score(inputs)).all()
    assert bundle.ranker.score(only(inputs, np.zeros(0, np.int64))).shape == (0,)


def test_only_the_newest_behaviors_are_read(bundle: Bundle) -> None:
    length = bundle.ranker.model.config.history_length
    inputs = make_inputs(bundle, length + 40)
    columns = ("items", "categories", "types", "times_ms")
    newest = {f"behavior_{c}": getattr(inputs, f"behavior_{c}")[-length:] for c in columns}
    np.testing.assert_array_equal(
        bundle.ranker.score(inputs), bundle.ranker.score(replace(inputs, **newest))
    )


def test_everything_that_a_request_holds_moves_the_scores(bundle: Bundle) -> None:
    """So that the checks above cannot pass on a model that reads nothing."""
    inputs = make_inputs(bundle)
    scores = bundle.ranker.score(inputs)
    changes = {
        "behavior_items": inputs.behavior_items[::-1].copy(),
        "behavior_categories": inputs.behavior_categories[::-1].copy(),
        "behavior_types": np.ones(60, np.uint8),
        "behavior_times_ms": inputs.behavior_times_ms // 1000,
        "page": 7,
        "trigger_item": 18,
        "trigger_category": 9,
        "time_ms": 10**11,
    }
    if inputs.memory is not None:
        changes["memory"] = None
    for name, value in changes.items():
        moved = bundle.ranker.score(replace(inputs, **{name: value}))
        assert np.abs(moved - scores).max() > 1e-5, name


def test_a_memory_without_events_counts_as_none(bundle: Bundle) -> None:
    inputs = make_inputs(bundle)
    if bundle.updater is None:
        assert bundle.memory_fingerprint == 0
        assert inputs.memory is None
        return
    np.testing.assert_array_equal(
        bundle.ranker.score(replace(inputs, memory=bundle.updater.initial_row())),
        bundle.ranker.score(replace(inputs, memory=None)),
    )
    with pytest.raises(ValueError, match="memory of shape"):
        bundle.ranker.score(replace(inputs, memory=np.zeros(3, np.float32)))


def make_log() -> tuple[Events, Samples]:
    """30 users of few to many events, some never seen, 200 impressions of several items each."""
    rng = np.random.default_rng(SEED)
    n = 2000
    events = Events(
        users=(rng.integers(1, 30, n) ** 2 // 30 + 1).astype(np.uint64),
        items=rng.integers(1, 1100, n).astype(np.uint64),
        categories=rng.integers(0, 55, n).astype(np.uint64),
        types=rng.integers(1, 8, n).astype(np.uint8),
        times_ms=np.sort(rng.integers(0, STATE.late_after_ms, n)),
    )
    shown = np.repeat(np.arange(200), rng.integers(1, 9, 200))
    m = len(shown)
    triggers = rng.integers(0, 1100, 200) * rng.integers(0, 2, 200)
    samples = Samples(
        users=rng.integers(1, 33, 200).astype(np.uint64)[shown],
        items=rng.integers(1, 1100, m).astype(np.uint64),
        categories=rng.integers(0, 55, m).astype(np.uint64),
        times_ms=rng.integers(0, STATE.late_after_ms, 200)[shown],
        labels=rng.integers(0, 2, m).astype(np.int8),
        splits=np.full(m, 2, np.int8),
        pages=rng.integers(-1, 5, 200)[shown],
        triggers=triggers.astype(np.uint64)[shown],
        trigger_categories=np.zeros(m, np.uint64),
        oracle=None,
    )
    return events, samples


def test_offline_evaluation_equals_the_ranker(bundle: Bundle) -> None:
    """Scores in batches equal scores from states that plain loops over the log keep."""
    events, samples = make_log()
    data = point_in_time(events, samples, STATE)
    requests = data.requests
    tensors = RequestTensors(data, bundle.vocabulary, bundle.ranker.model.config)
    index, offline = predict(
        bundle.ranker.model, tensors, np.arange(len(requests.users)), bundle.updater
    )
    found = dict(zip(requests.rows[index].tolist(), offline.tolist(), strict=True))
    assert len(found) == len(samples.labels)
    dislike = 1 + STATE.event_types.index("dislike")
    for rows in np.split(requests.rows, requests.starts[1:-1]):
        row = rows[0]
        past = (events.users == samples.users[row]) & (events.times_ms < samples.times_ms[row])
        past &= events.types != dislike
        page = int(samples.pages[row])
        online = bundle.ranker.score(
            RankInputs(
                behavior_items=events.items[past],
                behavior_categories=events.categories[past],
                behavior_types=events.types[past],
                behavior_times_ms=events.times_ms[past],
                memory=memory_after(bundle, events.items[past], events.categories[past]),
                candidate_items=samples.items[rows],
                candidate_categories=samples.categories[rows],
                time_ms=int(samples.times_ms[row]),
                page=None if page < 0 else page,
                trigger_item=int(samples.triggers[row]),
            )
        )
        np.testing.assert_allclose([found[k] for k in rows.tolist()], online, atol=1e-5, rtol=0)


def test_padding_changes_nothing(bundle: Bundle) -> None:
    """A request alone in its batch, and beside one with far longer history."""
    data = point_in_time(*make_log(), STATE)
    tensors = RequestTensors(data, bundle.vocabulary, bundle.ranker.model.config)
    longest = int(np.argmax(data.requests.ring_positions))
    for other in np.argsort(data.requests.ring_positions)[[0, 60, 120]].tolist():
        scores = []
        for chosen in ([other], [other, longest]):
            index, found = predict(bundle.ranker.model, tensors, np.array(chosen), bundle.updater)
            scores.append(dict(zip(index.tolist(), found.tolist(), strict=True)))
        for index, alone in scores[0].items():
            assert abs(scores[1][index] - alone) < 1e-6
