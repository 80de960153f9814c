"""What a sample counts in training by its age: what is asked of a model lies after its training."""

import numpy as np
from numpy.typing import NDArray

from models.durations import DAY_MS
from models.samples import Ints, PointInTime
from models.training_options import TrainingOptions

#: What the oldest samples still count, beside 1 for the newest.
_OLDEST = 0.2


def sample_weights(
    data: PointInTime, trained: Ints, options: TrainingOptions
) -> NDArray[np.float32]:
    """Return what each request's samples count in training, ``[n_requests]``; 1 on average."""
    times = data.requests.times_ms
    if not options.half_life_days or not len(trained):
        return np.ones(len(times), np.float32)
    ages = (times[trained].max() - times) / (options.half_life_days * DAY_MS)
    weights = _OLDEST + (1 - _OLDEST) * 0.5 ** np.maximum(ages, 0)
    return np.asarray(weights / weights[trained].mean(), np.float32)
