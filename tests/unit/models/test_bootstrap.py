"""The bootstrap against draws laid out by hand, and against worlds whose AUC is known."""

import numpy as np
import pytest

from models import bootstrap
from models.bootstrap import BootstrapOptions, interval_of, resample_users
from models.ctr_metrics import auc, group_auc


def test_a_draw_is_figured_as_if_its_users_were_laid_out() -> None:
    rng = np.random.default_rng(4)
    users, scores = rng.integers(0, 30, 600), rng.random(600).round(1)
    labels = rng.random(600) < scores
    found = resample_users(labels, users, [scores], BootstrapOptions(8, seed=9))
    draws = np.random.default_rng(9)
    for k in range(8):
        drawn = draws.integers(0, 30, 30)
        rows = np.concatenate([np.flatnonzero(users == user) for user in drawn])
        copies = np.repeat(np.arange(30), [(users == user).sum() for user in drawn])
        assert found.auc[0, k] == pytest.approx(auc(labels[rows], scores[rows]), abs=1e-12)
        within = group_auc(labels[rows], scores[rows], copies)
        assert found.gauc[0, k] == pytest.approx(within, abs=1e-12)


def simulate(rng: np.random.Generator, n_users: int = 60) -> tuple[np.ndarray, ...]:
    """Users of their own liking and size: labels, users, scores."""
    sizes = rng.integers(5, 40, n_users)
    users = np.repeat(np.arange(n_users), sizes)
    quality = rng.normal(1.0, 0.7, n_users)[users]
    labels = rng.random(len(users)) < 0.3
    return labels, users, quality * labels + rng.normal(size=len(users))


def test_intervals_cover_the_truth() -> None:
    """Of 120 worlds at least 88 % hold the AUC and GAUC of a world without end."""
    labels, users, scores = simulate(np.random.default_rng(0), n_users=40_000)
    truth = auc(labels, scores), group_auc(labels, scores, users)
    held = np.zeros(2)
    for seed in range(120):
        labels, users, scores = simulate(np.random.default_rng(1000 + seed))
        found = resample_users(labels, users, [scores], BootstrapOptions(200, seed))
        for k, values in enumerate((found.auc[0], found.gauc[0])):
            low, high = interval_of(values)
            held[k] += low <= truth[k] <= high
    assert (held >= 0.88 * 120).all(), held


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(5)
    labels, users, scores = simulate(rng)
    near = scores + rng.normal(scale=0.05, size=len(scores))
    found = resample_users(labels, users, [scores, scores.copy(), near], BootstrapOptions())
    assert (found.auc[0] == found.auc[1]).all()
    assert (found.gauc[0] == found.gauc[1]).all()
    own, difference = interval_of(found.auc[0]), interval_of(found.auc[0] - found.auc[2])
    assert difference[1] - difference[0] < 0.2 * (own[1] - own[0])


def test_seed_and_parts_decide_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, users, scores = simulate(np.random.default_rng(6))
    one = resample_users(labels, users, [scores], BootstrapOptions(50, seed=1))
    other = resample_users(labels, users, [scores], BootstrapOptions(50, seed=2))
    assert (one.auc != other.auc).any()
    monkeypatch.setattr(bootstrap, "_COUNTS_AT_ONCE", 7 * 60)
    parts = resample_users(labels, users, [scores], BootstrapOptions(50, seed=1))
    np.testing.assert_allclose(one.auc, parts.auc, rtol=0, atol=1e-12)
    np.testing.assert_allclose(one.gauc, parts.gauc, rtol=0, atol=1e-12)


def test_what_cannot_be_told_has_no_interval() -> None:
    few = np.arange(40) % 9
    labels = np.arange(40) % 2 == 0
    found = resample_users(labels, few, [np.arange(40.0)], BootstrapOptions(20))
    assert np.isnan(interval_of(found.auc[0])).all()
    found = resample_users(np.ones(40), np.arange(40), [np.arange(40.0)], BootstrapOptions(20))
    assert np.isnan(interval_of(found.auc[0])).all()
    assert np.isnan(interval_of(found.gauc[0])).all()
