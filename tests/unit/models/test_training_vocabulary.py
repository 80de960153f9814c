"""A model knows what its training shows it: candidates, triggers and the past of its users."""

from dataclasses import replace

import numpy as np
from small_logs import HOUR_MS, make_small_log

from interest_center.core.layout import StateConfig
from models.ctr_config import default_config
from models.samples import point_in_time
from models.tables import TEST, TRAIN, Events, Samples
from models.training_vocabulary import make_vocabulary

CONFIG = default_config("din", 7)


def make_log() -> tuple[Events, Samples]:
    """Tell ids apart by where they occur: triggers from 1000 on, test candidates from 2000 on."""
    events, samples = make_small_log()
    triggers = np.where(samples.triggers != 0, samples.triggers + np.uint64(1000), 0)
    test = samples.splits == TEST
    return events, replace(
        samples,
        triggers=np.where(test & (triggers != 0), triggers + np.uint64(1000), triggers),
        trigger_categories=np.where(triggers != 0, triggers + np.uint64(5000), 0),
        items=np.where(test, samples.items + np.uint64(4000), samples.items),
    )


def test_it_knows_the_triggers_and_their_categories() -> None:
    events, samples = make_log()
    known = make_vocabulary(point_in_time(events, samples, StateConfig()), CONFIG)
    train = (samples.splits == TRAIN) & (samples.triggers != 0)
    assert train.any()
    assert set(samples.triggers[train].tolist()) <= set(known.items.tolist())
    assert set(samples.trigger_categories[train].tolist()) <= set(known.categories.tolist())
    assert 0 not in known.items
    assert 0 not in known.categories


def test_it_knows_nothing_of_the_test_split() -> None:
    events, samples = make_log()
    known = make_vocabulary(point_in_time(events, samples, StateConfig()), CONFIG)
    allowed = set(events.items.tolist())
    for column in (samples.items, samples.triggers):
        allowed |= set(column[samples.splits == TRAIN].tolist())
    assert set(known.items.tolist()) <= allowed


def test_it_knows_what_feeds_sub_sequences_alone() -> None:
    """Each part of a state may be fed by event types of its own."""
    events, samples = make_small_log()
    codes = dict(zip(StateConfig().event_types, range(1, 8), strict=True))
    own = np.array([7001, 7002, 7003], np.uint64)
    kinds = np.array([codes[name] for name in ("click", "view", "cart")], np.uint8)
    user = samples.users[samples.splits == TRAIN][0]
    added = Events(
        users=np.full(3, user, np.uint64),
        items=own,
        categories=own,
        types=kinds,
        times_ms=np.full(3, -HOUR_MS, np.int64),
    )
    whole = Events(
        *(
            np.concatenate((getattr(added, name), getattr(events, name)))
            for name in ("users", "items", "categories", "types", "times_ms")
        )
    )
    state = StateConfig(
        behavior_types=("click",), memory_types=("view",), subsequence_types=("cart",)
    )
    known = make_vocabulary(point_in_time(whole, samples, state), CONFIG)
    assert set(own.tolist()) <= set(known.items.tolist()) & set(known.categories.tolist())


def test_users_and_buckets_are_there_when_they_are_wanted() -> None:
    events, samples = make_log()
    data = point_in_time(events, samples, StateConfig())
    assert not len(make_vocabulary(data, CONFIG).users)
    wanted = replace(CONFIG, user_dim=4, n_item_buckets=9)
    known = make_vocabulary(data, wanted)
    trained = np.unique(samples.users[samples.splits == TRAIN])
    assert known.users.tolist() == trained.tolist()
    assert known.n_buckets == 9


def test_the_last_price_of_an_item_counts_in_units_of_the_median() -> None:
    data = point_in_time(*make_small_log(), StateConfig())
    items = make_vocabulary(data).items[:3]
    prices = np.array([1.0, 20.0, 40.0, np.nan])
    order = np.concatenate((items[[0]], items[[1]], items[[0]], items[[2]]))
    known = make_vocabulary(data, replace(CONFIG, price_dim=2), (order, prices))
    # The median of 1, 20 and 40 is 20: one for item 1, a doubling for item 0's last price.
    assert known.price_rows(items).tolist() == [36, 32, 0]
