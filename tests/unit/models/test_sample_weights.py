"""What samples count by their age: half of what they may lose after a half-life, 1 on average."""

from dataclasses import replace

import numpy as np
import pytest
from small_logs import make_small_log

from interest_center.core.layout import StateConfig
from models.sample_weights import sample_weights
from models.samples import PointInTime, point_in_time
from models.training_options import TrainingOptions

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def data() -> PointInTime:
    return point_in_time(*make_small_log(), StateConfig())


def test_without_a_half_life_all_count_alike(data: PointInTime) -> None:
    weights = sample_weights(data, np.arange(4), TrainingOptions())
    assert weights.tolist() == [1.0] * len(data.requests.users)


def test_weights_fall_by_half_of_what_they_may_lose(data: PointInTime) -> None:
    days = np.array([0, 1, 2, 40, 50])
    requests = replace(data.requests, times_ms=days * DAY_MS)
    options = TrainingOptions(half_life_days=2.0)
    # The last one is not trained on: it is younger than all training, and counts as the newest.
    weights = sample_weights(replace(data, requests=requests), np.arange(4), options)
    assert weights[:4].mean() == pytest.approx(1.0)
    expected = 0.2 + 0.8 * 0.5 ** (np.array([40, 39, 38, 0, 0]) / 2.0)
    np.testing.assert_allclose(weights / weights[3], expected, rtol=1e-5)
