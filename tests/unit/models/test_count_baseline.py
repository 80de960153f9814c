"""The count baseline, against rates worked out by hand."""

import math

import numpy as np

from models.count_baseline import CountBaseline

USERS = np.array(["ann", "ann", "bob", "bob", "cy"])
ITEMS = np.array([1, 2, 1, 2, 3])
CATEGORIES = np.array([7, 7, 7, 7, 8])
LABELS = np.array([1, 0, 1, 0, 1])
TRAIN = np.array([True, True, True, True, False])


def test_score_is_the_sum_of_smoothed_log_odds() -> None:
    scores = CountBaseline(smoothing=2.0).fit_score(USERS, ITEMS, CATEGORIES, LABELS, TRAIN)
    # Overall and category rate 1/2; item 1 has two clicks of two, item 2 none of two.
    item = math.log(0.75 / 0.25)
    assert np.allclose(scores, [item, -item, item, -item, 0.0])


def test_labels_outside_training_are_not_read() -> None:
    other = np.where(TRAIN, LABELS, 1 - LABELS)
    baseline = CountBaseline()
    first = baseline.fit_score(USERS, ITEMS, CATEGORIES, LABELS, TRAIN)
    assert np.array_equal(first, baseline.fit_score(USERS, ITEMS, CATEGORIES, other, TRAIN))


def test_an_item_leans_on_its_category() -> None:
    """Items 1 and 2 of category 7 are clicked, 3 and 4 of category 8 are not; 5 and 6 are new."""
    train = np.array([True] * 4 + [False] * 2)
    scores = CountBaseline(smoothing=2.0).fit_score(
        np.arange(6),
        np.arange(6),
        np.array([7, 7, 8, 8, 7, 8]),
        np.array([1, 1, 0, 0, 0, 0]),
        train,
    )
    # Of two clicks of two, with two samples of the overall rate 1/2 beside them.
    category = math.log(0.75 / 0.25)
    assert np.allclose(scores[4:], [category, -category])
