"""The count baseline: what one reaches by counting clicks, without any model."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


class CountBaseline:
    """Smoothed click rates of item, category and user, counted on the training samples.

    A category's rate is smoothed towards the overall rate, an item's towards its category's, a
    user's towards the overall rate, each with the weight of ``smoothing`` samples. The score is
    ``logit(item rate) + logit(user rate) - logit(overall rate)``. Who was never seen in training
    has the rate that it is smoothed towards.

    Args:
        smoothing: Weight of what a rate is smoothed towards, in samples.
    """

    def __init__(self, smoothing: float = 20.0) -> None:
        self._smoothing = smoothing

    def fit_score(
        self,
        users: NDArray[np.generic],
        items: NDArray[np.generic],
        categories: NDArray[np.generic],
        labels: NDArray[np.generic],
        train: NDArray[np.bool_],
    ) -> Floats:
        """Count on the rows marked ``train`` and return the score of every row, ``[n]``.

        Args:
            users: User of each sample, of any type that can be sorted, ``[n]``.
            items: Item of each sample.
            categories: Category of each sample.
            labels: 1 for a click, else 0; read where ``train`` is true only.
            train: Which samples may be counted, ``[n]``.
        """
        clicks = np.asarray(labels, np.float64)
        overall = np.full(len(clicks), clicks[train].mean())
        category = self._smoothed_rate(categories, clicks, train, overall)
        item = self._smoothed_rate(items, clicks, train, category)
        user = self._smoothed_rate(users, clicks, train, overall)
        return np.asarray(_logit(item) + _logit(user) - _logit(overall))

    def _smoothed_rate(
        self,
        keys: NDArray[np.generic],
        clicks: Floats,
        train: NDArray[np.bool_],
        towards: Floats,
    ) -> Floats:
        """Return for each row the smoothed rate of its key."""
        _, place = np.unique(keys, return_inverse=True)
        n_keys = int(place.max()) + 1
        n_seen = np.bincount(place[train], minlength=n_keys)
        n_clicked = np.bincount(place[train], clicks[train], n_keys)
        weight = self._smoothing
        return np.asarray((n_clicked[place] + weight * towards) / (n_seen[place] + weight))


def _logit(rate: Floats) -> Floats:
    bounded = np.clip(rate, 1e-6, 1.0 - 1e-6)
    return np.asarray(np.log(bounded / (1.0 - bounded)))
