"""What `uic bench engine` measures with: events that are events, and figures that are right."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from packed import packed
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from interest_center.core.errors import ConfigurationError
from interest_center.core.event_decoder import EventDecoder
from interest_center.core.events import EventRules
from interest_center.core.layout import DEFAULT_EVENT_TYPES
from models.bundle import load_updater
from streams.bench.command import OURS, as_values, ratios, too_slow
from streams.bench.contest import check_peers
from streams.bench.measuring import Measured, bound_of, cpu_seconds, sums_of
from streams.bench.toy_worker import ToyUpdater, item_vectors
from streams.bench.workload import CATEGORIES_OF_USER, Distribution, Workload

NOW_MS = 1_700_000_000_000


class Record(NamedTuple):
    """A record as a Kafka client hands it out."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[()] = ()


def make_load(distribution: Distribution = "uniform", n_events: int = 4_000) -> Workload:
    return Workload("toy", distribution, 500, n_events, 4, 7)


def measured(rate: float) -> Measured:
    return Measured(int(rate) * 10, 10.0, {"workers": 5.0, "broker": 1.0})


def test_messages_are_events_of_the_users_in_their_partitions() -> None:
    load = make_load()
    rows = list(load.messages(NOW_MS))
    decoder = EventDecoder(EventRules("bench", load.n_partitions, DEFAULT_EVENT_TYPES))
    users = load.users()
    seen = set[int]()
    for partition in range(load.n_partitions):
        records = [row for row in rows if row[0] == partition]
        events = np.array([i for i, row in enumerate(rows) if row[0] == partition])
        batch = decoder.decode(
            partition, packed([Record(i, NOW_MS, *row[1:]) for i, row in enumerate(records)]),
            0, len(records),
        )  # fmt: skip
        assert not batch.dead_letters
        assert batch.events["user"].tolist() == users[events].tolist()
        assert (np.diff(batch.events["event_time_ms"]) > 0).all()
        assert batch.events["event_time_ms"].max() < NOW_MS
        seen |= set(batch.events["event_hash"].tolist())
        assert (batch.events["category"] > 0).all()
    assert len(seen) == load.n_events, "no event is a duplicate"


def test_the_same_seed_gives_the_same_users_and_categories_are_few() -> None:
    load = make_load()
    assert load.users().tolist() == make_load().users().tolist()
    values = [json.loads(value) for _, _, value in load.messages(NOW_MS)]
    of_one = {value["category_id"] for value in values if value["user_id"] == values[0]["user_id"]}
    assert len(of_one) <= CATEGORIES_OF_USER


def test_zipf_has_a_hot_user_and_uniform_has_none() -> None:
    shares = {}
    for distribution in ("uniform", "zipf"):
        counts = np.bincount(make_load(distribution, 50_000).users(), minlength=501)
        assert counts[0] == 0
        assert len(counts) == 501
        shares[distribution] = counts[1] / counts.sum()
    weights = np.arange(1, 501) ** -1.1
    assert shares["zipf"] == pytest.approx(weights[0] / weights.sum(), rel=0.05)
    assert shares["uniform"] < 0.005


@pytest.mark.parametrize("work", ["none", "mimn", "hpmn"])
def test_what_is_prepared_is_what_a_worker_loads(work: str, tmp_path: Path) -> None:
    settings = Workload(work, "uniform", 10, 1_000, 1, 3).prepare(tmp_path)  # type: ignore[arg-type]
    assert (work == "none") == (settings == {})
    if settings:
        updater = load_updater(settings["bundle"])
        assert updater is not None
        assert updater.name == work


def test_the_toy_is_the_sum_that_its_peers_compute() -> None:
    updater, vectors = ToyUpdater(), item_vectors()
    rows = np.stack([updater.initial_row()] * 2)
    items = np.array([5, 1_005, 7], np.uint64)
    updater.update_many(rows, np.array([0, 0, 1]), items, np.zeros(3, np.uint64))
    expected = vectors[5] * np.float32(0.99) + vectors[5]
    np.testing.assert_allclose(rows[0], expected, rtol=1e-6)
    np.testing.assert_array_equal(rows[1], vectors[7])


def test_metrics_are_added_up_over_workers_and_stages() -> None:
    text = ""
    for _ in range(2):
        registry = CollectorRegistry()
        Counter("bytes", "b", registry=registry).inc(5)
        Gauge("position", "p", ["partition"], registry=registry).labels("1").set(3)
        stage = Histogram("work", "w", ["stage"], buckets=(1, 2), registry=registry)
        stage.labels("decode").observe(0.5)
        stage.labels("apply").observe(1.5)
        text += generate_latest(registry).decode()
    sums = sums_of(text_string_to_metric_families(text))
    assert sums["bytes"]["total"] == 10
    assert sums["work"]["sum"] == 4
    assert sums["work"]["sum stage=apply"] == 3
    assert sums["work"]["le 1.0"] == 2


@pytest.mark.parametrize(
    ("share", "bound"), [(0.5, 0.01), (0.9, 0.02), (0.99, float("inf")), (1.0, float("inf"))]
)
def test_bounds_are_those_that_a_share_keeps(share: float, bound: float) -> None:
    histogram = {"count": 100.0, "le 0.01": 60.0, "le 0.02": 95.0, "le +Inf": 100.0}
    assert bound_of(histogram, share) == bound
    assert bound_of({}, share) == 0.0


def test_figures_are_by_event_and_json_has_no_infinity() -> None:
    run = Measured(1_000, 2.0, {"workers": 0.01, "broker": 0.001},
                   loop_late={"worst_at_most": float("inf")})  # fmt: skip
    values = as_values(make_load(), 1, {OURS: [run]}, [])
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    told = values["runs"][OURS][0]
    assert told["events_per_second"] == 500
    assert told["cpu_us_per_event"] == {"workers": 10, "broker": 1}
    assert told["loop_late_seconds"]["worst_at_most"] is None


def test_a_slow_peer_makes_the_ratios_void() -> None:
    load = Workload("toy", "uniform", 100_000, 1_000, 4, 1)
    results = {OURS: [measured(90_000.0)] * 3, "quix": [measured(30_000.0)] * 3}
    assert ratios(results, "quix") == [3.0] * 3
    assert too_slow(load, results) == []
    results["quix"] = [measured(19_000.0)] * 2 + [measured(30_000.0)]
    assert "quix: 19,000 events/s, usually 25,000" in too_slow(load, results)[0]


def test_peers_are_refused_before_anything_is_measured() -> None:
    with pytest.raises(ConfigurationError, match="quix knows the toy only"):
        check_peers(["quix"], Workload("mimn", "uniform", 10, 1_000, 1, 3))
    with pytest.raises(ConfigurationError, match="quixstreams is not installed") as caught:
        check_peers(["faust", "quix"], make_load())
    assert "make bench-engine" in caught.value.hint


def test_cpu_time_is_that_of_the_system() -> None:
    before = os.times()
    told = cpu_seconds(os.getpid())
    after = os.times()
    assert before.user + before.system - 0.1 <= told <= after.user + after.system + 0.1
