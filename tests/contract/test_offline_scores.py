"""Every ranker offline: scores of tables equal those of requests, and padding changes nothing."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from interest_center.core.layout import StateConfig
from interest_center.core.records import Behaviors
from models.bundle import Bundle, load_bundle, untrained_bundle
from models.inputs import RankInputs
from models.prediction import predict
from models.registry import model_names
from models.request_batches import RequestTensors
from models.samples import point_in_time
from models.tables import Events, Samples

SEED = 20240612
STATE = StateConfig()


@pytest.fixture(scope="module", params=model_names())
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Load an untrained bundle of each model."""
    directory: Path = tmp_path_factory.mktemp("bundle")
    untrained_bundle(directory, request.param, SEED)
    return load_bundle(directory)


def memory_after(
    bundle: Bundle, items: NDArray[np.uint64], categories: NDArray[np.uint64]
) -> NDArray[np.float32] | None:
    if bundle.updater is None or not len(items):
        return None
    rows = bundle.updater.initial_row()[None].copy()
    bundle.updater.update_many(rows, np.zeros(len(items), np.int64), items, categories)
    return rows[0]


def by_category(events: Events, past: NDArray[np.bool_]) -> dict[int, Behaviors]:
    """Return the newest behaviors of each category; none is evicted here."""
    found = {}
    for category in np.unique(events.categories[past]).tolist():
        newest = np.flatnonzero(past & (events.categories == category))
        newest = newest[-STATE.n_subsequence_behaviors :]
        columns = (events.items, events.categories, events.types, events.times_ms)
        found[category] = Behaviors(*(column[newest] for column in columns))
    found.pop(0, None)
    return found


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
                subsequences=by_category(events, past),
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
