"""Ids to rows: the same by arrays and in a scan, for known ids, unknown ones and buckets."""

from dataclasses import replace

import numpy as np
import pytest

from models.scan_kernels import EventTables, event_rows
from models.vocabulary import UNKNOWN_ROW, Vocabulary, price_buckets, rows_of

ITEMS = np.array([3, 5, 9, 2**63 + 1], np.uint64)
KNOWN = Vocabulary.from_pairs(ITEMS, np.array([30, 0, 30, 70], np.uint64))


def with_buckets(n_buckets: int) -> Vocabulary:
    return replace(KNOWN, n_buckets=n_buckets)


def tables_of(vocabulary: Vocabulary) -> EventTables:
    rows = vocabulary.table_rows
    return EventTables(
        vocabulary.items,
        vocabulary.item_categories,
        vocabulary.categories,
        np.zeros((rows.items, 2), np.float32),
        np.zeros((rows.categories, 2), np.float32),
    )


@pytest.mark.parametrize("n_buckets", [0, 1, 7])
def test_a_scan_finds_the_rows_that_arrays_find(n_buckets: int) -> None:
    """Each item, known or not, with its category, another, an unknown one and none."""
    vocabulary = with_buckets(n_buckets)
    tables = tables_of(vocabulary)
    items = np.concatenate((ITEMS, np.array([0, 1, 4, 10, 2**63, 2**64 - 1], np.uint64)))
    categories = np.array([0, 30, 70, 31, 2**64 - 1], np.uint64)
    pairs = [(item, category) for item in items for category in categories]
    shown, kinds = (np.array(column, np.uint64) for column in zip(*pairs, strict=True))
    scanned = [event_rows(item, category, tables) for item, category in pairs]
    expected = zip(
        vocabulary.item_rows(shown).tolist(),
        vocabulary.category_rows(shown, kinds).tolist(),
        strict=True,
    )
    assert scanned == list(expected)


def test_known_ids_have_rows_of_their_own_and_unknown_ones_share_row_0() -> None:
    assert KNOWN.item_rows(ITEMS).tolist() == [1, 2, 3, 4]
    strangers = np.array([0, 4, 2**64 - 1], np.uint64)
    assert KNOWN.item_rows(strangers).tolist() == [UNKNOWN_ROW] * 3
    assert rows_of(KNOWN.users, strangers).tolist() == [UNKNOWN_ROW] * 3
    assert KNOWN.table_rows == (5, 3, 1)


def test_strangers_spread_over_the_buckets_and_stay_in_theirs() -> None:
    vocabulary = with_buckets(8)
    strangers = np.arange(100, 1100, dtype=np.uint64)
    rows = vocabulary.item_rows(strangers)
    assert vocabulary.table_rows.items == 1 + 4 + 8
    assert set(rows.tolist()) == set(range(5, 13))
    assert np.bincount(rows)[5:].min() > 80
    assert vocabulary.item_rows(strangers[::-1].copy())[::-1].tolist() == rows.tolist()
    assert vocabulary.item_rows(strangers.reshape(10, 100)).tolist() == (
        rows.reshape(10, 100).tolist()
    )
    assert vocabulary.item_rows(ITEMS).tolist() == [1, 2, 3, 4]


def test_training_hides_a_known_item_in_the_row_it_would_have_as_a_stranger() -> None:
    vocabulary = with_buckets(8)
    rows = np.arange(vocabulary.table_rows.items)
    hidden = vocabulary.rows_as_unknown(rows)
    without = replace(vocabulary, items=np.array([2], np.uint64), item_categories=ITEMS[:1])
    as_strangers = without.item_rows(ITEMS) - without.table_rows.items
    assert (hidden[1:5] - vocabulary.table_rows.items).tolist() == as_strangers.tolist()
    assert hidden[0] == UNKNOWN_ROW
    assert hidden[5:].tolist() == rows[5:].tolist(), "a stranger is one already"
    assert KNOWN.rows_as_unknown(rows[:5]).tolist() == [UNKNOWN_ROW] * 5


def test_the_last_category_seen_with_an_item_is_its_own_unless_it_is_none() -> None:
    items = np.array([5, 5, 5, 6], np.uint64)
    vocabulary = Vocabulary.from_pairs(items, np.array([50, 51, 0, 0], np.uint64))
    given = np.array([0, 50, 0, 0], np.uint64)
    asked = np.array([5, 5, 6, 7], np.uint64)
    assert vocabulary.categories_of(asked, given).tolist() == [51, 50, 0, 0]
    assert vocabulary.categories.tolist() == [50, 51]


def test_tensors_give_the_vocabulary_back() -> None:
    whole = replace(
        with_buckets(8),
        users=np.array([1, 7], np.uint64),
        item_prices=np.array([1, 0, 3, 9], np.uint8),
    )
    again = Vocabulary.from_tensors(whole.to_tensors())
    for name, value in vars(whole).items():
        np.testing.assert_array_equal(getattr(again, name), value, err_msg=name)
    assert again.price_rows(np.array([3, 4, 9], np.uint64)).tolist() == [1, 0, 3]


def test_prices_are_quarters_of_doublings_and_0_without_one() -> None:
    prices = np.array([1.0, 2.0, 2.0**0.25, 0.5, 0.0, -1.0, np.nan, np.inf, 1e30, 1e-30])
    assert price_buckets(prices).tolist() == [32, 36, 33, 28, 0, 0, 0, 0, 63, 1]


def test_all_that_is_known_comes_by_one_look() -> None:
    """Of ids of any shape, of strided and of locked arrays, of none."""
    known = Vocabulary.from_pairs(
        np.array([5, 2**63 + 7], np.uint64), np.array([3, 2**63 + 9], np.uint64)
    )
    items = np.array([[5, 0, 2**63 + 7, 0, 1, 0]], np.uint64)[:, ::2]
    items.setflags(write=False)
    found = known.look_up(items, np.array([[0, 0, 2**63 + 11]], np.uint64))
    assert found.items.tolist() == [[1, 2, 0]]
    assert found.categories.tolist() == [[1, 2, 0]]
    assert found.category_ids.tolist() == [[3, 2**63 + 9, 2**63 + 11]]
    assert found.prices.tolist() == [[0, 0, 0]]
    nothing = np.zeros(0, np.uint64)
    assert known.look_up(nothing, nothing).items.shape == (0,)
    with pytest.raises(ValueError, match="categories of"):
        known.look_up(items, nothing)
