"""What a catalog says of items beside what a bundle knows."""

from dataclasses import replace

import numpy as np

from models.catalog import Catalog, CatalogVocabulary
from models.vocabulary import UNKNOWN_ROW, Vocabulary, price_buckets

ITEMS = np.array([3, 5, 9], np.uint64)
KNOWN = Vocabulary.from_pairs(ITEMS, np.array([30, 0, 70], np.uint64))
NONE = np.zeros(5, np.uint64)
ASKED = np.array([3, 5, 9, 20, 21], np.uint64)
CATALOG = Catalog.of(
    np.array([20, 5, 9], np.uint64),
    np.array([70, 30, 0], np.uint64),
    np.array([8.0, np.nan, 2.0], np.float32),
    np.array([True, False, True]),
    np.array([[1.0, 2.0], [3.0, 4.0]], np.float32),
)
NOTHING_ADDED = np.zeros(0, np.uint64)


def test_items_are_sorted_with_what_belongs_to_them() -> None:
    assert CATALOG.items.tolist() == [5, 9, 20]
    assert CATALOG.categories.tolist() == [30, 0, 70]
    np.testing.assert_array_equal(CATALOG.prices, np.array([np.nan, 2.0, 8.0], np.float32))
    assert CATALOG.items[CATALOG.embedded].tolist() == [9, 20]
    assert CATALOG.embeddings.tolist() == [[3.0, 4.0], [1.0, 2.0]]


def test_a_category_is_as_given_else_as_listed_else_as_the_bundle_knows() -> None:
    joined = CatalogVocabulary.of(KNOWN, CATALOG, NOTHING_ADDED)
    assert joined.categories_of(ASKED, NONE).tolist() == [30, 30, 70, 70, 0]
    given = np.array([1, 2, 0, 0, 4], np.uint64)
    assert joined.categories_of(ASKED, given).tolist() == [1, 2, 70, 70, 4]
    assert joined.category_rows(ASKED, NONE).tolist() == [1, 1, 2, 2, UNKNOWN_ROW]


def test_added_items_have_the_rows_behind_those_of_the_bundle() -> None:
    added = np.array([20], np.uint64)
    assert CatalogVocabulary.of(KNOWN, CATALOG, added).item_rows(ASKED).tolist() == [1, 2, 3, 4, 0]
    with_buckets = CatalogVocabulary.of(replace(KNOWN, n_buckets=2), CATALOG, added)
    rows = with_buckets.item_rows(ASKED).tolist()
    assert rows[:4] == [1, 2, 3, 6]
    assert rows[4] in (4, 5), "the bucket of an item that nobody describes"


def test_prices_count_in_the_unit_of_the_training() -> None:
    priced = replace(KNOWN, item_prices=np.array([10, 11, 12], np.uint8), price_unit=4.0)
    joined = CatalogVocabulary.of(priced, CATALOG, NOTHING_ADDED)
    of_nine, of_twenty = price_buckets(np.array([0.5, 2.0])).tolist()
    assert joined.price_rows(ASKED).tolist() == [10, 11, of_nine, of_twenty, 0]
    unknown_unit = CatalogVocabulary.of(replace(priced, price_unit=0.0), CATALOG, NOTHING_ADDED)
    assert unknown_unit.price_rows(ASKED).tolist() == [10, 11, 12, 0, 0]


def test_a_price_unit_is_kept_with_a_bundle() -> None:
    priced = replace(KNOWN, item_prices=np.array([10, 11, 12], np.uint8), price_unit=4.5)
    assert Vocabulary.from_tensors(priced.to_tensors()).price_unit == 4.5
    assert Vocabulary.from_tensors(KNOWN.to_tensors()).price_unit == 0.0
