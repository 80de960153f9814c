"""How good scores are on a split: figures, intervals, segments, what older states cost."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.bootstrap import (
    CONFIDENCE,
    BootstrapOptions,
    Interval,
    Resampled,
    interval_of,
    resample_users,
)
from models.calibration import Calibration, calibration_of
from models.ctr_metrics import Floats, auc, metrics_of, relative_improvement
from models.segments import segments_of
from models.split_scores import SplitSamples, SplitScores
from models.trigger_pages import TriggerPage, trigger_pages

#: ``auc``, ``gauc``, ``log_loss``, ``n``, ``click_rate``, ``predicted_to_observed``,
#: ``calibration_error``, ``auc_interval`` and ``gauc_interval``.
Figures = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """AUC and GAUC of one model less those of another, on the same draws of users."""

    auc: float
    auc_interval: Interval
    gauc: float
    gauc_interval: Interval


@dataclass(frozen=True)
class Comparison:
    """The model against a base.

    Attributes:
        base: Name of the base.
        difference: Model less base.
        rela_impr: RelaImpr of the AUC in percent, NaN for a base that is no better than chance.
    """

    base: str
    difference: Difference
    rela_impr: float


@dataclass(frozen=True)
class SegmentFigures:
    """Figures of a part of the split.

    Attributes:
        kind: ``history_length``, ``trigger`` or ``page``.
        name: Of the segment.
        figures: Of the model.
        base_aucs: AUC of everything that the model is compared with, by name.
    """

    kind: str
    name: str
    figures: Figures
    base_aucs: dict[str, float]


@dataclass(frozen=True)
class StaleFigures:
    """What is left with states of some age.

    Attributes:
        lag_ms: Age of the states.
        missed_behaviors: Mean number of behaviors that a sample sees live and not here.
        figures: Of the model with these states.
        difference: These figures less the live ones.
    """

    lag_ms: int
    missed_behaviors: float
    figures: Figures
    difference: Difference


@dataclass(frozen=True)
class Evaluation:
    """Figures of one split.

    Attributes:
        bundle: Fingerprint of the bundle.
        model: Its name.
        split: Name of the split.
        figures: Of the model.
        without_memory: Of the model ranking without memory, None when it has none.
        count_baseline: Of smoothed click counts of the training samples; None without any.
        oracle: Of the true probability, None for real logs.
        bases: Of other bundles, by name.
        comparisons: The model against all of them but the oracle.
        calibration: Of the model.
        segments: Parts of the split.
        staleness: With older states, in the order asked.
        p_trigger_by_page: How far users follow the trigger; empty if the model does not say.
        bootstrap: How the intervals were made.
    """

    bundle: str
    model: str
    split: str
    figures: Figures
    without_memory: Figures | None
    count_baseline: Figures | None
    oracle: Figures | None
    bases: dict[str, Figures]
    comparisons: tuple[Comparison, ...]
    calibration: Calibration
    segments: tuple[SegmentFigures, ...]
    staleness: tuple[StaleFigures, ...]
    p_trigger_by_page: tuple[TriggerPage, ...]
    bootstrap: BootstrapOptions

    def to_dict(self) -> dict[str, Any]:
        """Return the model's figures at the top, all else below its name; NaN becomes None."""
        everything = {**self.figures, **asdict(self), "gap_closed": self.gap_closed()}
        del everything["figures"]
        everything["bootstrap"] |= {"drawn": "users", "confidence": CONFIDENCE}
        everything["calibration"]["bins"] = [b._asdict() for b in self.calibration.bins]
        everything["segments"] = {
            kind: [{"name": s.name, **s.figures, "base_aucs": s.base_aucs} for s in segments]
            for kind, segments in self.segments_by_kind().items()
        }
        everything["staleness"] = [
            {**older.pop("figures"), **older} for older in everything["staleness"]
        ]
        values: dict[str, Any] = json.loads(json.dumps(everything), parse_constant=lambda _: None)
        return values

    def segments_by_kind(self) -> dict[str, list[SegmentFigures]]:
        """Return the segments of each kind."""
        found: dict[str, list[SegmentFigures]] = {}
        for segment in self.segments:
            found.setdefault(segment.kind, []).append(segment)
        return found

    def rows(self) -> list[tuple[str, Figures]]:
        """Return name and figures of everything that was evaluated, the model first."""
        named = [
            (self.model, self.figures),
            ("memory not read", self.without_memory),
            *self.bases.items(),
            ("count baseline", self.count_baseline),
            ("oracle", self.oracle),
        ]
        return [(name, figures) for name, figures in named if figures is not None]

    def gap_closed(self) -> float | None:
        """Return the share of the AUC gap from count baseline to oracle that the model closes.

        None without a gap: one of them is not known, or a split of one class has no AUC.
        """
        if self.count_baseline is None or self.oracle is None:
            return None
        base, best = self.count_baseline["auc"], self.oracle["auc"]
        share: float = (self.figures["auc"] - base) / (best - base) if best > base else np.nan
        return None if np.isnan(share) else share


def evaluate(scores: SplitScores, options: BootstrapOptions) -> Evaluation:
    """Compute the figures of scores.

    Args:
        scores: Of everything that is compared.
        options: How to resample users for the intervals.
    """
    shown = scores.samples
    rivals = scores.rivals()
    named = {"": scores.own, **rivals}
    if scores.oracle is not None:
        named["oracle"] = scores.oracle
    stale = [older.scores for older in scores.stale]
    drawn = resample_users(shown.labels, shown.users, [*named.values(), *stale], options)
    figures = {
        name: _figures(shown, of_name, drawn, k) for k, (name, of_name) in enumerate(named.items())
    }
    comparisons = [
        Comparison(
            name,
            _difference((figures[""], figures[name]), drawn, (0, k)),
            relative_improvement(figures[""]["auc"], figures[name]["auc"]),
        )
        for k, name in enumerate(rivals, start=1)
    ]
    return Evaluation(
        bundle=scores.bundle,
        model=scores.model,
        split=shown.name,
        figures=figures[""],
        without_memory=figures.get("memory not read"),
        count_baseline=figures.get("count baseline"),
        oracle=figures.get("oracle"),
        bases={name: figures[name] for name in scores.bases},
        comparisons=tuple(comparisons),
        calibration=calibration_of(shown.labels, scores.own),
        segments=tuple(_segments(scores, options)),
        staleness=tuple(_staleness(scores, figures[""], drawn, len(named))),
        p_trigger_by_page=trigger_pages(shown, scores.p_trigger),
        bootstrap=options,
    )


def _figures(shown: SplitSamples, scores: Floats, drawn: Resampled, place: int) -> Figures:
    """Return the figures of scores that stand at a place of the draws."""
    calibration = calibration_of(shown.labels, scores)
    return {
        **metrics_of(shown.labels, scores, shown.users),
        "click_rate": float(shown.labels.mean()),
        "predicted_to_observed": calibration.predicted_to_observed,
        "calibration_error": calibration.expected_error,
        "auc_interval": interval_of(drawn.auc[place]),
        "gauc_interval": interval_of(drawn.gauc[place]),
    }


def _difference(
    figures: tuple[Figures, Figures], drawn: Resampled, places: tuple[int, int]
) -> Difference:
    """Return the first of two less the second, figured on the same draws."""
    (one, other), (at, base) = figures, places
    return Difference(
        auc=one["auc"] - other["auc"],
        auc_interval=interval_of(drawn.auc[at] - drawn.auc[base]),
        gauc=one["gauc"] - other["gauc"],
        gauc_interval=interval_of(drawn.gauc[at] - drawn.gauc[base]),
    )


def _segments(scores: SplitScores, options: BootstrapOptions) -> list[SegmentFigures]:
    found = []
    shown = scores.samples
    rivals = scores.rivals()
    for kind, name, inside in segments_of(shown.history_lengths, shown.has_trigger, shown.pages):
        part = shown.select(inside)
        own = scores.own[inside]
        drawn = resample_users(part.labels, part.users, [own], options)
        aucs = {rival: auc(part.labels, theirs[inside]) for rival, theirs in rivals.items()}
        found.append(SegmentFigures(kind, name, _figures(part, own, drawn, 0), aucs))
    return found


def _staleness(
    scores: SplitScores, live: Figures, drawn: Resampled, first: int
) -> list[StaleFigures]:
    """Return figures of older states; theirs are the draws from place ``first`` on."""
    found = []
    for place, older in enumerate(scores.stale, start=first):
        figures = _figures(scores.samples, older.scores, drawn, place)
        difference = _difference((figures, live), drawn, (place, 0))
        found.append(StaleFigures(older.lag_ms, float(older.missed.mean()), figures, difference))
    return found
