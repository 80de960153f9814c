"""Offline scores equal those of states that the real engine kept, whatever it had to forget.

Rings, sub-sequences and directories are so short that they overflow; half of the ids of every kind
are of no vocabulary, and items among them share buckets.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from factories import make_batch, make_center, make_history, small_config
from reference.interest_state import Event, Limits, ReferenceCenter

from interest_center.core.protocols import MemoryUpdater
from interest_center.core.records import decode_memory, decode_profile, decode_subsequence
from interest_center.stores.memory import MemoryStore
from models.ctr_config import default_config
from models.ctr_model import CtrModel
from models.inputs import RankInputs
from models.prediction import predict
from models.ranker import Ranker
from models.request_batches import RequestTensors
from models.samples import PointInTime, point_in_time
from models.tables import NO_PAGE, TEST, Events, Samples
from models.training_memory import updater_of
from models.vocabulary import Vocabulary

SEED = 20261125
STATE, LIMITS = small_config(n_behaviors=11)
CATEGORIES = range(1, 9)
CANDIDATES = 5
MODELS = ("din+mimn", "din+tra+hpmn", "dien+hpmn", "gru4rec+mimn", "dei2n", "sim")


@dataclass(frozen=True)
class Asked:
    """A request between two events: how many of all events came before it, and what it shows."""

    n_before: int
    user: int
    time_ms: int
    page: int
    trigger: int
    items: list[int]


def make_requests(events: list[Event]) -> list[Asked]:
    """Ask just before events that move their user's time on: at that time, all else is past."""
    rng = np.random.default_rng(SEED)
    twin, asked = ReferenceCenter(LIMITS), list[Asked]()
    for number, event in enumerate(events):
        known = twin.users.get(event.user)
        newest = known.last_event_time_ms if known else 0
        repeated = known is not None and event.event_hash in known.event_ids
        if event.event_time_ms > newest and not repeated and rng.random() < 0.2:
            items = rng.integers(1, 50, CANDIDATES).tolist()
            page, trigger = int(rng.integers(NO_PAGE, 4)), int(rng.integers(0, 50))
            asked.append(Asked(number, event.user, event.event_time_ms, page, trigger, items))
        twin.apply([event])
    return asked


def tables_of(events: list[Event], asked: list[Asked]) -> tuple[Events, Samples]:
    def column(name: str, kind: type) -> Any:
        return np.array([getattr(event, name) for event in events], kind)

    done = Events(
        column("user", np.uint64),
        column("item", np.uint64),
        column("category", np.uint64),
        column("event_type", np.uint8),
        column("event_time_ms", np.int64),
        event_ids=column("event_hash", np.uint64),
    )
    n = len(asked) * CANDIDATES

    def shown(name: str, kind: type) -> Any:
        return np.repeat(np.array([getattr(one, name) for one in asked], kind), CANDIDATES)

    items = np.array([one.items for one in asked], np.uint64).reshape(-1)
    samples = Samples(
        users=shown("user", np.uint64),
        items=items,
        categories=np.where(items % 3, items % 9, 0).astype(np.uint64),
        times_ms=shown("time_ms", np.int64),
        labels=np.zeros(n, np.int8),
        splits=np.full(n, TEST, np.int8),
        pages=shown("page", np.int64),
        triggers=shown("trigger", np.uint64),
        trigger_categories=np.zeros(n, np.uint64),
        oracle=None,
    )
    return done, samples


@pytest.fixture(scope="module")
def log() -> tuple[list[Event], list[Asked], Samples, PointInTime]:
    events = make_history(SEED, 700, n_users=6, erased_share=0.0)
    asked = make_requests(events)
    done, samples = tables_of(events, asked)
    return events, asked, samples, point_in_time(done, samples, STATE)


def make_model(name: str, vocabulary: Vocabulary) -> CtrModel:
    config = replace(
        default_config(name, len(STATE.event_types), STATE.n_behaviors),
        n_item_buckets=vocabulary.n_buckets,
        user_dim=4,
        time_dim=2,
        factor_dim=3,
        search_length=3,
    )
    torch.manual_seed(SEED)
    model = CtrModel(config, vocabulary.table_rows)
    for names in model.id_tables.values():
        for table in names:
            torch.nn.init.normal_(model.get_parameter(f"{table}.weight"), std=0.5)
    return model


def make_vocabulary() -> Vocabulary:
    """Know the even items and categories, with each other, and the odd users."""
    items = np.arange(2, 50, 2, dtype=np.uint64)
    known = Vocabulary.from_pairs(items, items % 8)
    return replace(known, users=np.array([1, 3, 5], np.uint64), n_buckets=3)


def online_scores(
    events: list[Event], asked: list[Asked], samples: Samples, ranker: Ranker, updater: Any
) -> list[list[float]]:
    """Score each request with what a center of the running system answers at that moment."""
    center = make_center(MemoryStore(), STATE, updater)
    scores, done = [], 0
    for k, one in enumerate(asked):
        if one.n_before > done:
            center.apply(make_batch(events[done : one.n_before], done))
            done = one.n_before
        stored = center.read([one.user], list(CATEGORIES)).states[0]
        profile = None if stored.profile is None else decode_profile(stored.profile)
        rows = slice(k * CANDIDATES, (k + 1) * CANDIDATES)
        nothing = np.zeros(0, np.uint64)
        counts = {} if profile is None else profile.type_counts
        inputs = RankInputs(
            behavior_items=nothing if profile is None else profile.item,
            behavior_categories=nothing if profile is None else profile.category,
            behavior_types=nothing if profile is None else profile.event_type,
            behavior_times_ms=nothing if profile is None else profile.event_time_ms,
            memory=None if stored.memory is None else decode_memory(stored.memory),
            subsequences={c: decode_subsequence(r) for c, r in stored.subsequences.items()},
            n_behaviors=sum(counts.get(code, 0) for code in Limits.feeding),
            candidate_items=samples.items[rows],
            candidate_categories=samples.categories[rows],
            time_ms=one.time_ms,
            page=None if one.page == NO_PAGE else one.page,
            trigger_item=one.trigger,
            user=one.user,
        )
        scores.append(ranker.score(inputs).tolist())
    return scores


@pytest.mark.parametrize("name", MODELS)
def test_offline_equals_what_the_engine_serves(
    name: str, log: tuple[list[Event], list[Asked], Samples, PointInTime]
) -> None:
    events, asked, samples, data = log
    assert len(asked) > 60
    assert (data.requests.ring_positions > STATE.n_behaviors).mean() > 0.5, "rings overflow"
    assert data.n_duplicate_events > 10
    assert data.n_late_events > 10
    vocabulary = make_vocabulary()
    model = make_model(name, vocabulary)
    updater: MemoryUpdater | None = updater_of(model, vocabulary)
    tensors = RequestTensors(data, vocabulary, model.config)
    chosen = np.arange(len(data.requests.users))
    index, found = predict(model, tensors, chosen, updater)
    offline = np.empty(len(samples.items))
    offline[data.requests.rows[index]] = found
    online = online_scores(events, asked, samples, Ranker(model, vocabulary), updater)
    np.testing.assert_allclose(offline.reshape(-1, CANDIDATES), online, atol=1e-5, rtol=0)
    assert np.std(online) > 0.01
