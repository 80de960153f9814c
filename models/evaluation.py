"""How good a bundle is on samples, beside the count baseline and, if it is known, the oracle."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import ConfigurationError
from models.bundle import Bundle
from models.bundle_files import write_atomically, writing
from models.count_baseline import CountBaseline
from models.ctr_metrics import metrics_of
from models.prediction import predict
from models.request_batches import RequestTensors
from models.samples import Ints, PointInTime
from models.tables import SPLITS, TRAIN, Samples

Figures = dict[str, float | int]


@dataclass(frozen=True)
class Evaluation:
    """Figures of one split; each holds ``auc``, ``gauc``, ``log_loss`` and ``n``.

    Attributes:
        bundle: Fingerprint of the bundle.
        model: Its name.
        split: Name of the split.
        figures: Of the model.
        without_memory: Of the model ranking without memory, None when it has none.
        count_baseline: Of smoothed click counts of the training samples; None without any.
        oracle: Of the true probability, None for real logs.
    """

    bundle: str
    model: str
    split: str
    figures: Figures
    without_memory: Figures | None
    count_baseline: Figures | None
    oracle: Figures | None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures at the top, all others below their names; NaN becomes None."""
        everything = {**self.figures, **asdict(self)}
        del everything["figures"]
        values: dict[str, Any] = json.loads(json.dumps(everything), parse_constant=lambda _: None)
        return values

    def rows(self) -> list[tuple[str, Figures]]:
        """Return name and figures of everything that was evaluated, the model first."""
        named = [
            (self.model, self.figures),
            (f"{self.model}, memory not read", self.without_memory),
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
        return (self.figures["auc"] - base) / (best - base) if best > base else None


def count_baseline_scores(samples: Samples) -> NDArray[np.float64] | None:
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


def evaluate_bundle(
    bundle: Bundle,
    data: PointInTime,
    samples: Samples,
    split: str,
    on_requests: Callable[[int], None] | None = None,
) -> Evaluation:
    """Score a split as the running system would and compute its figures.

    Args:
        bundle: The model.
        data: Events and samples, joined.
        samples: The sample table of ``data``.
        split: ``train``, ``validation`` or ``test``.
        on_requests: Told how many requests were scored.

    Raises:
        ConfigurationError: The split has no samples.
    """
    chosen = split_requests(data, samples, split)
    model = bundle.ranker.model
    tensors = RequestTensors(data, bundle.vocabulary, model.config)

    def figures(scores: NDArray[np.float64], rows: Ints) -> Figures:
        return dict(metrics_of(samples.labels[rows], scores, samples.users[rows]))

    index, scores = predict(model, tensors, chosen, bundle.updater, on_requests)
    rows = data.requests.rows[index]
    without = None
    if bundle.updater is not None:
        same, scores_without = predict(model, tensors, chosen, None, on_requests)
        without = figures(scores_without, data.requests.rows[same])
    counted = count_baseline_scores(samples)
    return Evaluation(
        bundle=bundle.fingerprint,
        model=bundle.name,
        split=split,
        figures=figures(scores, rows),
        without_memory=without,
        count_baseline=None if counted is None else figures(counted[rows], rows),
        oracle=None if samples.oracle is None else figures(samples.oracle[rows], rows),
    )


def markdown_of(evaluation: Evaluation, data: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = [
        f"# {evaluation.model} on {evaluation.split}",
        "",
        f"Bundle `{evaluation.bundle}`; " + ", ".join(f"{k}: {v}" for k, v in data.items()) + ".",
        "",
        "| | AUC | GAUC | log loss | samples |",
        "|---|---|---|---|---|",
    ]
    for name, f in evaluation.rows():
        lines.append(
            f"| {name} | {f['auc']:.4f} | {f['gauc']:.4f} | {f['log_loss']:.4f} | {f['n']:,} |"
        )
    closed = evaluation.gap_closed()
    if closed is not None:
        lines += ["", f"Gap from count baseline to oracle closed: {closed:.0%}."]
    lines += [
        "",
        "AUC is exact. GAUC is the AUC within users weighted by impressions; users with one class"
        " are left out. The count baseline scores smoothed click rates of item, category and user,"
        " counted on the training samples.",
    ]
    return "\n".join(lines) + "\n"


def write_report(evaluation: Evaluation, data: dict[str, Any], directory: Path) -> Path:
    """Write ``evaluation-SPLIT.json`` and ``.md``; return the latter's path.

    Raises:
        ConfigurationError: The directory cannot be written to.
    """
    stem = f"evaluation-{evaluation.split}"
    values = {**evaluation.to_dict(), "data": data, "gap_closed": evaluation.gap_closed()}
    text = json.dumps(values, indent=2, default=str, allow_nan=False)
    path = directory / f"{stem}.md"
    with writing(directory):
        write_atomically(directory / f"{stem}.json", f"{text}\n".encode())
        write_atomically(path, markdown_of(evaluation, data).encode())
    return path
