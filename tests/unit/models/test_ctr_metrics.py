"""Metrics against pair counting."""

import math

import numpy as np
import pytest

from models.ctr_metrics import auc, group_auc, log_loss, metrics_of, relative_improvement


def pairs_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    wins = [
        1.0 if p > n else 0.5 if p == n else 0.0
        for p in scores[labels == 1]
        for n in scores[labels == 0]
    ]
    return sum(wins) / len(wins) if wins else math.nan


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_values", [2, 5, 1000])
def test_auc_counts_pairs(seed: int, n_values: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = rng.integers(0, 2, 150), rng.integers(0, n_values, 150) / 7
    users = rng.integers(0, 20, 150)
    assert auc(labels, scores) == pytest.approx(pairs_auc(labels, scores), abs=1e-12)
    total = weight = 0.0
    for user in range(20):
        mine = users == user
        value = pairs_auc(labels[mine], scores[mine])
        if not math.isnan(value):
            total, weight = total + value * mine.sum(), weight + mine.sum()
    assert group_auc(labels, scores, users) == pytest.approx(total / weight, abs=1e-12)


def test_one_class_has_no_auc() -> None:
    assert math.isnan(auc(np.ones(3), np.arange(3.0)))
    assert math.isnan(group_auc(np.array([1, 0]), np.array([0.1, 0.2]), np.array([1, 2])))


def test_log_loss_is_bounded_for_certain_mistakes() -> None:
    assert log_loss(np.array([1, 0]), np.array([0.5, 0.5])) == pytest.approx(math.log(2))
    assert math.isfinite(log_loss(np.array([1]), np.array([0.0])))
    assert set(metrics_of(np.array([1, 0]), np.array([0.9, 0.1]), np.array([1, 1]))) == {
        "auc", "gauc", "log_loss", "n",
    }  # fmt: skip


def test_no_better_than_chance_is_no_base() -> None:
    assert relative_improvement(0.7, 0.6) == pytest.approx(100)
    assert math.isnan(relative_improvement(0.7, 0.5))
    assert math.isnan(relative_improvement(0.7, math.nan))
