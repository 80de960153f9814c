"""Triggers on their way from tables to readers: whether there is one, and what is searched for."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from interest_center.core.layout import StateConfig
from models.ctr_config import CtrConfig, default_config
from models.ctr_model import CtrModel
from models.request_batches import RequestTensors
from models.request_rows import RequestBatch
from models.samples import PointInTime, point_in_time
from models.tables import TEST, Events, Samples
from models.vocabulary import Vocabulary

SEED = 13
N_ITEMS, N_CATEGORIES = 40, 8
MINUTE_MS = 60_000
#: A user of long history who did something of the trigger's category at the beginning only.
N_EARLY, N_EVENTS, WINDOW = 6, 400, 20
TRIGGER, CATEGORY = 8, 1
READERS = pytest.mark.parametrize("name", ["dei2n", "dihn", "dian", "din+tra", "dien+tra"])


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def category_of(items: np.ndarray) -> np.ndarray:
    """Return the categories of items: 1 to 8."""
    return (items % N_CATEGORIES + 1).astype(np.uint64)


def make_data(state: StateConfig | None = None) -> PointInTime:
    """Return one user's history, and requests with the trigger, with another one, and without."""
    rng = np.random.default_rng(SEED)
    others = rng.integers(1, N_ITEMS + 1, N_EVENTS)
    others = np.where(others % N_CATEGORIES == TRIGGER % N_CATEGORIES, 1, others)
    items = np.append(np.full(N_EARLY, TRIGGER), others).astype(np.uint64)
    n = len(items)
    events = Events(
        np.ones(n, np.uint64), items, category_of(items), np.ones(n, np.uint8),
        np.arange(n) * MINUTE_MS,
    )  # fmt: skip
    triggers = np.array([TRIGGER, 3, 0], np.uint64)
    shown = np.arange(1, 5, dtype=np.uint64)
    m = len(triggers) * len(shown)
    samples = Samples(
        users=np.ones(m, np.uint64),
        items=np.tile(shown, len(triggers)),
        categories=category_of(np.tile(shown, len(triggers))),
        times_ms=(n + np.arange(len(triggers))).repeat(len(shown)) * MINUTE_MS,
        labels=np.zeros(m, np.int8),
        splits=np.full(m, TEST, np.int8),
        pages=np.zeros(m, np.int64),
        triggers=triggers.repeat(len(shown)),
        trigger_categories=np.zeros(m, np.uint64),
        oracle=None,
    )
    return point_in_time(events, samples, state or StateConfig())


def make_batch(config: CtrConfig, state: StateConfig | None = None) -> RequestBatch:
    """Return the three requests as tensors."""
    batch, _ = RequestTensors(make_data(state), vocabulary(), config).batch(np.arange(3))
    return batch


def vocabulary() -> Vocabulary:
    items = np.arange(1, N_ITEMS + 1, dtype=np.uint64)
    return Vocabulary.from_pairs(items, category_of(items))


def make_model(config: CtrConfig) -> CtrModel:
    torch.manual_seed(SEED)
    model = CtrModel(config, vocabulary().table_rows)
    for table in (model.item_table, model.category_table):
        torch.nn.init.normal_(table.weight, std=0.5)
    return model.eval()


def scores(model: CtrModel, batch: RequestBatch) -> torch.Tensor:
    """Return the logits, ``[3, 4]``."""
    with torch.inference_mode():
        found: torch.Tensor = model(batch).logits.view(3, 4)
    return found


@READERS
def test_what_stands_in_the_place_of_no_trigger_is_not_read(name: str) -> None:
    config = default_config(name, 7)
    model, batch = make_model(config), make_batch(config)
    assert batch.trigger_mask.tolist() == [True, True, False]
    before = scores(model, batch)
    assert before.isfinite().all()
    others = batch._replace(
        triggers=batch.triggers.clone().fill_(17), trigger_categories=torch.full((3,), 5)
    )
    if batch.trigger_behaviors is not None:
        found = batch.trigger_behaviors
        others = others._replace(
            trigger_behaviors=found._replace(
                items=torch.full_like(found.items, 9), mask=torch.ones_like(found.mask)
            )
        )
    after = scores(model, others)
    assert torch.equal(before[2], after[2])
    assert ((before - after).abs() > 1e-6)[:2].all()


@pytest.mark.parametrize("name", ["dei2n", "dihn", "dian"])
def test_the_sub_sequence_is_searched_in_all_that_is_stored(name: str) -> None:
    """Its behaviors are older than the window, than the ring, and than most of the history."""
    state = StateConfig(n_behaviors=WINDOW)
    config = default_config(name, 7, WINDOW)
    model, batch = make_model(config), make_batch(config, state)
    recent, found = batch.behaviors, batch.trigger_behaviors
    assert found is not None
    row = int(vocabulary().category_rows(np.array([TRIGGER]), np.array([0]))[0])
    assert recent.mask.sum(1).tolist() == [WINDOW] * 3
    assert not ((recent.categories == row) & recent.mask).any()
    assert found.mask.sum(1)[[0, 2]].tolist() == [N_EARLY, 0]
    assert (found.categories[0, :N_EARLY] == row).all()
    assert (found.items[0, :N_EARLY] == TRIGGER).all()
    # Oldest first, minutes before the request.
    ages = (N_EARLY + N_EVENTS - torch.arange(N_EARLY)) * MINUTE_MS
    assert torch.equal(found.ages_ms[0, :N_EARLY], ages)
    none = batch._replace(trigger_behaviors=found._replace(mask=torch.zeros_like(found.mask)))
    assert (scores(model, batch) - scores(model, none))[0].abs().min() > 1e-5


@pytest.mark.parametrize("longest", [3, 50])
def test_the_newest_of_a_long_sub_sequence_are_searched(longest: int) -> None:
    config = replace(default_config("dei2n", 7), search_length=longest)
    data = make_data()
    batch = make_batch(config)
    found = batch.trigger_behaviors
    assert found is not None
    # The second request's trigger is of a category that the user met all the time.
    mine = np.flatnonzero(data.categorised.categories == category_of(np.array([3]))[0])
    expected = data.categorised.items[mine][-longest:].tolist()
    assert len(expected) == min(longest, len(mine)) > 2
    assert found.items[1][found.mask[1]].tolist() == expected
