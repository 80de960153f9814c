"""Scores of everything that is compared on a split, one per sample, in the order of the table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from interest_center.core.protocols import MemoryUpdater
from models.bundle import Bundle
from models.count_baseline import CountBaseline
from models.ctr_metrics import Floats
from models.prediction import predict, trigger_probabilities
from models.reading import Reader
from models.request_batches import RequestTensors
from models.samples import Ints, PointInTime
from models.tables import SPLITS, TRAIN, Samples

#: Joins the log by the rules of a state, with states that are so many milliseconds old.
Join = Callable[[StateConfig, int], PointInTime]
OnRequests = Callable[[int], None]


@dataclass(frozen=True)
class Besides:
    """What to score besides the model.

    Attributes:
        bases: Other bundles by name, scored on the same samples by their own rules of the state.
        lags_ms: Ages of states to score the model with.
    """

    bases: Mapping[str, Bundle] = field(default_factory=dict)
    lags_ms: tuple[int, ...] = ()

    def n_scorings(self, bundle: Bundle) -> int:
        """Return how often ``score_split`` scores every request."""
        return 1 + (bundle.updater is not None) + len(self.bases) + len(self.lags_ms)


@dataclass(frozen=True)
class SplitSamples:
    """The samples of a split in the order of the sample table, ``[n]`` each.

    Attributes:
        name: Of the split.
        requests: Indices of the split's requests, ``[n_requests]``.
        owners: Request of each sample.
        rows: Row of the sample table.
        labels: Clicks.
        users: User ids.
        history_lengths: Behaviors that feed the ring and came before the sample.
        has_trigger: Whether the user came from an item.
        pages: Page number or ``NO_PAGE``.
    """

    name: str
    requests: Ints
    owners: Ints
    rows: Ints
    labels: NDArray[np.int8]
    users: NDArray[np.uint64]
    history_lengths: Ints
    has_trigger: NDArray[np.bool_]
    pages: Ints

    def select(self, inside: NDArray[np.bool_]) -> Self:
        """Return the samples marked ``inside``; the requests stay those of the split."""
        columns = ("owners", "rows", "labels", "users", "history_lengths", "has_trigger", "pages")
        return replace(self, **{name: getattr(self, name)[inside] for name in columns})

    def place_of(self, row: int) -> int:
        """Return the place of a row of the sample table among the samples.

        Raises:
            ConfigurationError: The split does not hold it.
        """
        place = int(np.searchsorted(self.rows, row))
        if place == len(self.rows) or self.rows[place] != row:
            raise ConfigurationError(
                f"sample {row} is not in split {self.name}",
                hint=f"its rows of the sample table lie between {self.rows[0]} and "
                f"{self.rows[-1]}; the first row of the table is 0",
            )
        return place


@dataclass(frozen=True)
class StaleScores:
    """Scores with states of some age.

    Attributes:
        lag_ms: Age of the states: only events older than the sample by more are seen.
        scores: ``[n]``.
        missed: Behaviors that each sample does not see and would see live, ``[n]``.
    """

    lag_ms: int
    scores: Floats
    missed: Ints


@dataclass(frozen=True)
class SplitScores:
    """What is compared on a split; scores are probabilities, ``[n]`` each.

    Attributes:
        model: Name of the model.
        bundle: Its fingerprint.
        samples: The samples.
        own: Scores of the model.
        without_memory: Of the model ranking without memory, None when it has none.
        bases: Of other bundles, by name.
        count_baseline: Of smoothed click counts of the training samples; None without any.
        oracle: The true probability, None for real logs.
        stale: Of the model with older states.
        p_trigger: How far each sample's user follows the trigger, 0 without one; None if the model
            does not say.
    """

    model: str
    bundle: str
    samples: SplitSamples
    own: Floats
    without_memory: Floats | None = None
    bases: Mapping[str, Floats] = field(default_factory=dict)
    count_baseline: Floats | None = None
    oracle: Floats | None = None
    stale: tuple[StaleScores, ...] = ()
    p_trigger: Floats | None = None

    def rivals(self) -> dict[str, Floats]:
        """Return what the model is compared with, by name; the oracle is not among it."""
        named = {
            "memory not read": self.without_memory,
            **self.bases,
            "count baseline": self.count_baseline,
        }
        return {name: scores for name, scores in named.items() if scores is not None}


def count_baseline_scores(samples: Samples) -> Floats | None:
    """Return the probability that counts give each sample; None without training samples."""
    train = samples.splits == TRAIN
    if not train.any():
        return None
    logits = CountBaseline().fit_score(
        samples.users, samples.items, samples.categories, samples.labels, train
    )
    return np.asarray(1 / (1 + np.exp(-logits)))


def split_requests(data: PointInTime, samples: Samples, split: str) -> Ints:
    """Return the requests of a split.

    Raises:
        ConfigurationError: There are none.
    """
    chosen = np.flatnonzero(data.requests.splits == SPLITS.index(split))
    if not len(chosen):
        counts = np.bincount(samples.splits, minlength=len(SPLITS))
        held = ", ".join(f"{name} {n}" for name, n in zip(SPLITS, counts, strict=True))
        raise ConfigurationError(f"no samples in split {split}", hint=f"the table holds {held}")
    return chosen


def split_samples(data: PointInTime, samples: Samples, split: str) -> SplitSamples:
    """Return the samples of a split.

    Raises:
        ConfigurationError: There are none.
    """
    requests = data.requests
    owner = np.repeat(np.arange(len(requests.users)), np.diff(requests.starts))
    chosen = split_requests(data, samples, split)
    index = np.flatnonzero(requests.splits[owner] == SPLITS.index(split))
    index = index[np.argsort(requests.rows[index])]
    rows, owners = requests.rows[index], owner[index]
    return SplitSamples(
        name=split,
        requests=chosen,
        owners=owners,
        rows=rows,
        labels=samples.labels[rows],
        users=samples.users[rows],
        history_lengths=requests.ring_positions[owners],
        has_trigger=requests.triggers[owners] != 0,
        pages=requests.pages[owners],
    )


def score(
    bundle: Bundle,
    data: PointInTime,
    split: str,
    updater: MemoryUpdater | None,
    on_requests: OnRequests | None = None,
) -> Floats:
    """Return the probabilities of a split's samples, in the order of the sample table."""
    model = bundle.ranker.model
    tensors = RequestTensors(data, bundle.vocabulary, model.config)
    # Which samples make a request may differ between joins of one log, the samples do not.
    chosen = np.flatnonzero(data.requests.splits == SPLITS.index(split))
    index, probabilities = predict(model, tensors, chosen, updater, on_requests)
    return probabilities[np.argsort(data.requests.rows[index])]


def score_triggers(bundle: Bundle, data: PointInTime, shown: SplitSamples) -> Floats | None:
    """Return how far each sample's user follows the trigger; None if the model does not say."""
    model = bundle.ranker.model
    if type(model.reader).trigger_probability is Reader.trigger_probability:
        return None
    tensors = RequestTensors(data, bundle.vocabulary, model.config)
    found = trigger_probabilities(model, tensors, shown.requests)
    return None if found is None else found[np.searchsorted(shown.requests, shown.owners)]


def score_split(
    bundle: Bundle,
    samples: Samples,
    split: str,
    join: Join,
    besides: Besides,
    on_requests: OnRequests | None = None,
) -> SplitScores:
    """Score a split as the running system would.

    Args:
        bundle: The model.
        samples: The sample table.
        split: ``train``, ``validation`` or ``test``.
        join: Joins the events with these samples.
        besides: What else to score.
        on_requests: Told how many requests were scored.

    Raises:
        ConfigurationError: The split has no samples.
    """
    data = join(bundle.state, 0)
    shown = split_samples(data, samples, split)
    own = score(bundle, data, split, bundle.updater, on_requests)
    without = None
    if bundle.updater is not None:
        without = score(bundle, data, split, None, on_requests)
    others = {
        name: score(base, join(base.state, 0), split, base.updater, on_requests)
        for name, base in besides.bases.items()
    }
    stale = []
    for lag_ms in besides.lags_ms:
        older = join(bundle.state, lag_ms)
        scores = score(bundle, older, split, bundle.updater, on_requests)
        seen = split_samples(older, samples, split).history_lengths
        stale.append(StaleScores(lag_ms, scores, shown.history_lengths - seen))
    counted = count_baseline_scores(samples)
    return SplitScores(
        model=bundle.name,
        bundle=bundle.fingerprint,
        samples=shown,
        own=own,
        without_memory=without,
        bases=others,
        count_baseline=None if counted is None else counted[shown.rows],
        oracle=None if samples.oracle is None else samples.oracle[shown.rows],
        stale=tuple(stale),
        p_trigger=score_triggers(bundle, data, shown),
    )
