"""Calibration of click probabilities: predicted against observed clicks, over all and by bins."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.ctr_metrics import Floats, Labels, group_ranks

N_BINS = 10


class CalibrationBin(NamedTuple):
    """Samples of like prediction: how many, what was predicted, and what share was clicked."""

    n: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class Calibration:
    """How far predicted probabilities are from click rates.

    Attributes:
        predicted_to_observed: Sum of the predictions by the number of clicks: 1 is right, above 1
            too many clicks are expected; NaN without a click.
        expected_error: Expected calibration error: mean distance of prediction and click rate of
            the bins, weighted by their samples.
        bins: From the lowest predictions to the highest.
    """

    predicted_to_observed: float
    expected_error: float
    bins: tuple[CalibrationBin, ...]


def calibration_of(labels: Labels, probabilities: Floats, n_bins: int = N_BINS) -> Calibration:
    """Compare predictions with clicks in bins of equal count.

    Samples of equal prediction share a bin, so bins may differ in size, and be fewer than
    ``n_bins``: what nothing tells apart must not be counted as miscalibrated.

    Args:
        labels: Clicks, ``[n]``.
        probabilities: Predictions, ``[n]``.
        n_bins: At most so many bins.
    """
    clicks = np.asarray(labels, np.float64)
    p = np.asarray(probabilities, np.float64)
    n = len(p)
    if not n:
        return Calibration(float("nan"), float("nan"), ())
    ranks = group_ranks(p, np.zeros(n, np.int64))
    place = np.minimum((ranks - 0.5) / n * n_bins, n_bins - 1).astype(np.int64)
    counts: NDArray[np.int64] = np.bincount(place, minlength=n_bins)
    filled = counts > 0
    predicted = np.bincount(place, p, n_bins)[filled] / counts[filled]
    observed = np.bincount(place, clicks, n_bins)[filled] / counts[filled]
    error = (np.abs(predicted - observed) * counts[filled]).sum() / n
    columns = (counts[filled].tolist(), predicted.tolist(), observed.tolist())
    return Calibration(
        predicted_to_observed=float(p.sum() / clicks.sum()) if clicks.any() else float("nan"),
        expected_error=float(error),
        bins=tuple(CalibrationBin(*values) for values in zip(*columns, strict=True)),
    )
