"""Calibration against scores whose calibration is known."""

import math

import numpy as np
import pytest

from models.calibration import calibration_of


def test_perfectly_calibrated_scores_have_no_error() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(1, 4, 200_000)
    found = calibration_of(rng.random(len(p)) < p, p)
    assert found.predicted_to_observed == pytest.approx(1, abs=0.02)
    assert found.expected_error < 0.005
    assert [b.n for b in found.bins] == [20_000] * 10
    assert all(b.observed == pytest.approx(b.predicted, abs=0.015) for b in found.bins)


def test_overconfident_scores_are_found_out() -> None:
    rng = np.random.default_rng(2)
    p = rng.beta(1, 4, 50_000)
    clicks = rng.random(len(p)) < p / 2
    found = calibration_of(clicks, p)
    assert found.predicted_to_observed == pytest.approx(2, abs=0.05)
    assert found.expected_error == pytest.approx(p.mean() / 2, abs=0.01)


def test_bins_hold_every_sample_and_every_click_once() -> None:
    rng = np.random.default_rng(3)
    p, clicks = rng.random(997).round(2), rng.random(997) < 0.3
    found = calibration_of(clicks, p)
    assert sum(b.n for b in found.bins) == 997
    assert sum(b.n * b.observed for b in found.bins) == pytest.approx(clicks.sum())
    assert sum(b.n * b.predicted for b in found.bins) == pytest.approx(p.sum())
    assert np.all(np.diff([b.predicted for b in found.bins]) > 0)


def test_equal_predictions_share_a_bin() -> None:
    """The first half of the table is clicked: bins cut by row would show a large error."""
    clicks = np.arange(1000) < 500
    found = calibration_of(clicks, np.full(1000, 0.5))
    assert [b.n for b in found.bins] == [1000]
    assert found.expected_error == pytest.approx(0)


def test_without_clicks_or_samples_there_is_no_ratio() -> None:
    assert math.isnan(calibration_of(np.zeros(3), np.full(3, 0.1)).predicted_to_observed)
    empty = calibration_of(np.zeros(0), np.zeros(0))
    assert math.isnan(empty.expected_error)
    assert empty.bins == ()
