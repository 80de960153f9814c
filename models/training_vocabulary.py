"""The ids that a model may know: those of its training samples, their triggers and histories."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.ctr_config import CtrConfig
from models.samples import Ints, PointInTime
from models.tables import TRAIN
from models.vocabulary import Vocabulary, price_buckets, rows_of

Ids = NDArray[np.uint64]


def make_vocabulary(
    data: PointInTime,
    config: CtrConfig | None = None,
    prices: tuple[Ids, NDArray[np.float64]] | None = None,
) -> Vocabulary:
    """Collect the ids of the training candidates and triggers, and of what users did before.

    Args:
        data: Histories and requests.
        config: Whether users are told apart, and how many buckets there are for new items.
        prices: Items and their prices, where the tables have them; the last one of an item counts.
    """
    requests = data.requests
    train = requests.splits == TRAIN
    came_from = train & (requests.triggers != 0)
    shown = np.repeat(train, np.diff(requests.starts))
    items = [requests.triggers[came_from], requests.items[shown]]
    categories = [requests.trigger_categories[came_from], requests.categories[shown]]
    for history, positions in (
        (data.ring, requests.ring_positions),
        (data.memory, requests.memory_positions),
        (data.categorised, requests.subsequence_positions),
    ):
        seen = np.zeros(len(history.starts) - 1, np.int64)
        np.maximum.at(seen, requests.users[train], positions[train])
        number = np.arange(len(history.items)) - np.repeat(
            history.starts[:-1], np.diff(history.starts)
        )
        known = number < np.repeat(seen, np.diff(history.starts))
        items.append(history.items[known])
        categories.append(history.categories[known])
    all_items: Ids = np.concatenate(items)
    vocabulary = Vocabulary.from_pairs(all_items, np.concatenate(categories))
    if config is None:
        return vocabulary
    users = (
        data.user_ids[np.unique(requests.users[train])] if config.knows_users else vocabulary.users
    )
    if config.price_dim and prices is not None:
        vocabulary = _with_prices(vocabulary, *prices)
    return replace(vocabulary, users=users, n_buckets=config.n_item_buckets)


def _with_prices(vocabulary: Vocabulary, items: Ids, prices: NDArray[np.float64]) -> Vocabulary:
    """Return a vocabulary with the bucket of the last price given for each item.

    Prices count in units of their median, so that any currency fills the middle of the buckets.
    """
    known = np.isfinite(prices) & (prices > 0)
    if not known.any():
        return vocabulary
    unit = float(np.median(prices[known]))
    rows: Ints = rows_of(vocabulary.items, items[known])
    buckets = np.zeros(len(vocabulary.items) + 1, np.uint8)
    # Of several values for one place numpy keeps the last.
    buckets[rows] = price_buckets(prices[known] / unit)
    return replace(vocabulary, item_prices=buckets[1:], price_unit=unit)
