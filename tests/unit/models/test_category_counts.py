"""Decayed counts of a category: the formula by plain loops, and the same numbers online."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from interest_center.core.behaviors import Behaviors
from interest_center.core.layout import StateConfig
from models.category_counts import CategoryCounts
from models.ctr_config import CtrConfig, default_config
from models.ctr_model import CtrModel
from models.inputs import RankInputs
from models.prediction import predict
from models.ranker import Ranker
from models.request_batches import RequestTensors
from models.request_rows import BehaviorRows
from models.samples import point_in_time
from models.tables import Events, Samples
from models.vocabulary import Vocabulary

DAY_MS = 86_400_000
SEED = 5
STATE = StateConfig(n_subsequence_behaviors=3)
N_TYPES = len(STATE.event_types)


def make_counts(n_counts: int = 4) -> CategoryCounts:
    torch.manual_seed(SEED)
    counts = CategoryCounts(n_counts, N_TYPES)
    torch.nn.init.normal_(counts.log_strengths, std=0.5)
    return counts


def found_of(lengths: list[int]) -> BehaviorRows:
    """Return sub-sequences; what stands behind the mask is as large as anything."""
    rng = np.random.default_rng(SEED)
    shape = (1, len(lengths), max(lengths))
    types = torch.from_numpy(rng.integers(1, N_TYPES + 1, shape))
    ages = torch.from_numpy((10 ** rng.uniform(3, 9.5, shape)).astype(np.int64))
    mask = torch.from_numpy(np.arange(shape[2]) < np.array(lengths)[:, None])[None]
    return BehaviorRows(torch.zeros_like(types), torch.zeros_like(types), types, ages, mask)


def test_counts_are_the_formula_by_plain_loops() -> None:
    counts, lengths = make_counts(), [4, 0, 1]
    found, group = found_of(lengths), torch.tensor([[2, 0, 0, 1]])
    with torch.no_grad():
        got = counts.of_candidates(found, group)[0].numpy()
    half_lives = np.exp(counts.log_half_lives.detach().double().numpy())
    strengths = np.exp(counts.log_strengths.detach().double().numpy())
    for candidate, at in enumerate([2, 0, 0, 1]):
        for k, half_life in enumerate(half_lives):
            total = 0.0
            for b in range(lengths[at]):
                days = int(found.ages_ms[0, at, b]) / DAY_MS
                total += strengths[int(found.types[0, at, b]), k] * 2 ** (-days / half_life)
            assert got[candidate, k] == pytest.approx(np.log(1 + total), abs=1e-5)


def test_half_lives_begin_between_half_an_hour_and_a_month() -> None:
    days = np.exp(make_counts(9).log_half_lives.detach().numpy())
    np.testing.assert_allclose(days[[0, -1]], [1 / 48, 32], rtol=1e-5)
    np.testing.assert_allclose(days[1:] / days[:-1], days[1] / days[0], rtol=1e-4)


def test_more_of_the_same_counts_more() -> None:
    """What a softmax over a sub-sequence of equal behaviors could not tell."""
    counts = make_counts()
    ages = torch.full((1, 2, 6), DAY_MS)
    mask = torch.tensor([[[True] + [False] * 5, [True] * 6]])
    ones = torch.ones_like(ages)
    one, six = counts(BehaviorRows(ones, ones, ones, ages, mask))[0]
    assert (six > one).all()


def make_log() -> tuple[Events, Samples]:
    """One user, twelve events in three categories; three items shown afterwards."""
    n = 12
    categories = np.array([1, 2, 1, 1, 3, 1, 2, 1, 1, 3, 1, 2], np.uint64)
    events = Events(
        users=np.ones(n, np.uint64),
        items=categories + np.uint64(10),
        categories=categories,
        types=(np.arange(n) % 5 + 1).astype(np.uint8),
        times_ms=np.arange(n) * 3_600_000,
    )
    shown = np.array([1, 2, 4], np.uint64)
    samples = Samples(
        users=np.ones(3, np.uint64),
        items=shown + np.uint64(10),
        categories=shown,
        times_ms=np.full(3, n * 3_600_000),
        labels=np.array([0, 1, 0], np.int8),
        splits=np.full(3, 2, np.int8),
        pages=np.ones(3, np.int64),
        triggers=np.zeros(3, np.uint64),
        trigger_categories=np.zeros(3, np.uint64),
        oracle=None,
    )
    return events, samples


def make_model(config: CtrConfig) -> tuple[CtrModel, Vocabulary]:
    items = np.arange(11, 15, dtype=np.uint64)
    vocabulary = Vocabulary.from_pairs(items, items - np.uint64(10))
    torch.manual_seed(SEED)
    model = CtrModel(config, vocabulary.table_rows).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model, vocabulary


def test_scores_of_tables_equal_those_of_requests() -> None:
    """The ranker asks for the candidates' sub-sequences and counts what is kept of them."""
    config = replace(default_config("din", N_TYPES), n_counts=4, history_length=2)
    model, vocabulary = make_model(config)
    events, samples = make_log()
    data = point_in_time(events, samples, STATE)
    index, offline = predict(model, RequestTensors(data, vocabulary, config), np.array([0]), None)
    ranker = Ranker(model, vocabulary)
    assert ranker.searches
    wanted = ranker.wanted_categories(samples.items, samples.categories, 0, 0)
    assert wanted.tolist() == [1, 2, 4]
    columns = (events.items, events.categories, events.types, events.times_ms)
    kept = {
        category: Behaviors(
            *(c[np.flatnonzero(events.categories == category)[-3:]] for c in columns)
        )
        for category in (1, 2)
    }
    inputs = RankInputs(
        *columns, None, samples.items, samples.categories, int(samples.times_ms[0]), page=1
    )
    online = ranker.score(replace(inputs, subsequences=kept))
    np.testing.assert_allclose(offline, online[index], atol=1e-6, rtol=0)
    without = ranker.score(inputs)
    assert np.abs(without - online)[:2].min() > 1e-3
    assert without[2] == online[2]
