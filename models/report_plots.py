"""The plots of a report, each an SVG element; what they show comes as plain arrays."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import NDArray

from models.calibration import Calibration
from models.ctr_metrics import Floats, Labels
from models.durations import duration_text
from models.evaluation import SegmentFigures, StaleFigures
from models.ids_as_text import IdText
from models.report_svg import (
    INK,
    LINE,
    MUTED,
    OTHER,
    SERIES,
    STEPS,
    SURFACE,
    drawing,
    inline_svg,
    with_grid,
)
from models.report_views import ItemMap, Memories, RequestAttention, roc_curve
from models.trigger_pages import TriggerPage

_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_WIDTH, _HEIGHT = 5.4, 4.2
_HOUR_MS = 3_600_000


def roc_plot(labels: Labels, scores: Mapping[str, Floats]) -> str:
    """Draw the ROC curves of everything that is compared, the model first."""
    with drawing(_WIDTH, _HEIGHT) as figure:
        axes = with_grid(figure.subplots())
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1)
        for k, (name, of_name) in enumerate(scores.items()):
            colour, dash = SERIES[k % len(SERIES)], _DASHES[k % len(_DASHES)]
            axes.plot(*roc_curve(labels, of_name), color=colour, linestyle=dash, label=name)
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set(xlabel="false positive rate", ylabel="true positive rate")
        axes.legend(loc="lower right")
        names = ", ".join(scores)
        return inline_svg(figure, "roc", f"ROC curves of {names}; AUCs stand in the table above.")


def calibration_plot(calibration: Calibration) -> str:
    """Draw observed against predicted click rate, a point each bin."""
    with drawing(_WIDTH, _HEIGHT) as figure:
        axes = with_grid(figure.subplots())
        predicted = [part.predicted for part in calibration.bins]
        observed = [part.observed for part in calibration.bins]
        top = max([*predicted, *observed], default=1.0) * 1.08 or 1.0
        axes.plot([0, top], [0, top], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            "perfect", (top * 0.98, top * 0.98), (0, -14), textcoords="offset points",
            ha="right", color=MUTED,
        )  # fmt: skip
        axes.plot(
            predicted, observed, color=SERIES[0], marker="o", markersize=7, linewidth=1.5,
            markeredgecolor=SURFACE,
        )  # fmt: skip
        axes.set(xlim=(0, top), ylim=(0, top), aspect="equal")
        axes.set(xlabel="predicted click rate", ylabel="observed click rate")
        alt = "Observed against predicted click rate by bins: " + ", ".join(
            f"{p:.1%} predicted {o:.1%} observed" for p, o in zip(predicted, observed, strict=True)
        )
        return inline_svg(figure, "calibration", alt)


def history_plot(model: str, segments: Sequence[SegmentFigures]) -> str:
    """Draw AUC against the number of behaviors before the sample, with intervals."""
    with drawing(6.6, 3.8) as figure:
        axes = with_grid(figure.subplots(), "y")
        place = np.arange(len(segments))
        values = np.array([s.figures["auc"] for s in segments])
        low, high = np.array([s.figures["auc_interval"] for s in segments]).T
        for k, name in enumerate(segments[0].base_aucs, start=1):
            theirs = [s.base_aucs[name] for s in segments]
            axes.plot(
                place, theirs, color=SERIES[k % len(SERIES)], marker="s", markersize=5,
                linewidth=1.2, linestyle=_DASHES[k % len(_DASHES)], label=name,
            )  # fmt: skip
        axes.vlines(place, low, high, color=SERIES[0], linewidth=1.5)
        axes.plot(
            place, values, color=SERIES[0], marker="o", markersize=7, label=model,
            markeredgecolor=SURFACE,
        )  # fmt: skip
        axes.set_xticks(place, [f"{s.name}\n{s.figures['n']:,} samples" for s in segments])
        axes.set(xlabel="behaviors before the sample", ylabel="AUC")
        axes.margins(x=0.08)
        axes.legend(loc="best")
        alt = f"AUC of {model} by behaviors before the sample: " + ", ".join(
            f"{s.name} {s.figures['auc']:.3f}" for s in segments
        )
        return inline_svg(figure, "history", alt)


def staleness_plot(stale: Sequence[StaleFigures]) -> str:
    """Draw how much AUC falls with the age of the states."""
    with drawing(6.6, 3.2) as figure:
        axes = with_grid(figure.subplots(), "y")
        place = np.arange(len(stale))
        lost = np.array([older.difference.auc for older in stale])
        low, high = np.array([older.difference.auc_interval for older in stale]).T
        axes.axhline(0, color=MUTED, linewidth=1)
        axes.vlines(place, low, high, color=SERIES[0], linewidth=1.5)
        axes.plot(place, lost, color=SERIES[0], marker="o", markersize=7, markeredgecolor=SURFACE)
        axes.set_xticks(place, [duration_text(older.lag_ms) for older in stale])
        axes.set(xlabel="age of the states", ylabel="AUC less live AUC")
        axes.margins(x=0.08)
        alt = "AUC less live AUC by age of the states: " + ", ".join(
            f"{duration_text(older.lag_ms)} {older.difference.auc:+.4f}" for older in stale
        )
        return inline_svg(figure, "staleness", alt)


def trigger_plot(pages: Sequence[TriggerPage]) -> str:
    """Draw how far users follow the trigger, by page number; samples without a page left out."""
    numbered = [page for page in pages if page.page is not None]
    with drawing(6.6, 3.2) as figure:
        axes = with_grid(figure.subplots(), "y")
        place = np.arange(len(numbered))
        low, high = np.array([page.p_trigger_range for page in numbered]).reshape(-1, 2).T
        means = [page.p_trigger for page in numbered]
        axes.vlines(place, low, high, color=SERIES[0], linewidth=1.5)
        axes.plot(place, means, color=SERIES[0], marker="o", markersize=7, markeredgecolor=SURFACE)
        axes.set_xticks(place, [page.name for page in numbered])
        axes.set(xlabel="page number", ylabel="p_trigger")
        axes.margins(x=0.08)
        alt = "Mean probability of following the trigger by page number: " + ", ".join(
            f"{page.name} {page.p_trigger:.3f}" for page in numbered
        )
        return inline_svg(figure, "trigger-pages", alt)


def item_map_plot(items: ItemMap, id_text: IdText) -> str:
    """Draw items on a plane, coloured by category and by click rate."""
    with drawing(10.4, 5.2) as figure:
        by_category, by_rate = figure.subplots(1, 2)
        _scatter_categories(by_category, items, id_text)
        _scatter_rates(by_rate, items)
        for axes in (by_category, by_rate):
            axes.set(xticks=[], yticks=[])
            for spine in axes.spines.values():
                spine.set_visible(False)
        alt = (
            f"t-SNE of the embeddings of {len(items.places):,} items, twice: coloured by category "
            "and by click rate. Items of like embedding are near each other."
        )
        return inline_svg(figure, "items", alt)


def _scatter_categories(axes: Axes, items: ItemMap, id_text: IdText) -> None:
    """Colour the most frequent categories; the others share a muted one."""
    ids, counts = np.unique(items.categories[items.categories != 0], return_counts=True)
    largest = ids[np.argsort(-counts, kind="stable")][: len(SERIES)]
    shown = np.isin(items.categories, largest)
    groups = [(~shown, OTHER, "all others")]
    groups += [
        (items.categories == category, SERIES[k], id_text(int(category)))
        for k, category in enumerate(largest)
    ]
    _scatter(axes, items, groups[1:] + groups[:1] if shown.all() else groups)
    axes.set_title("by category")


def _scatter_rates(axes: Axes, items: ItemMap) -> None:
    """Colour five groups of equal count from the lowest click rates to the highest."""
    edges = np.quantile(items.click_rates, np.linspace(0, 1, len(STEPS) + 1)[1:-1])
    part = np.searchsorted(edges, items.click_rates, side="right")
    groups = []
    for k, colour in enumerate(STEPS):
        inside = part == k
        if inside.any():
            rates = items.click_rates[inside]
            groups.append((inside, colour, f"{rates.min():.1%} to {rates.max():.1%}"))
    _scatter(axes, items, groups)
    axes.set_title("by click rate")


def _scatter(
    axes: Axes, items: ItemMap, groups: Sequence[tuple[NDArray[np.bool_], str, str]]
) -> None:
    handles = []
    for inside, colour, name in groups:
        if inside.any():
            x, y = items.places[inside].T
            axes.scatter(x, y, s=18, color=colour, linewidths=0.4, edgecolors=SURFACE)
            handles.append(Patch(color=colour, label=name))
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3)


def attention_plot(found: RequestAttention) -> str:
    """Draw the attention to each behavior, oldest left; the candidate's category stands out."""
    with drawing(8.6, 3.6) as figure:
        axes = with_grid(figure.subplots(), "y")
        place = np.arange(len(found.items))
        own = (found.categories == found.category) & (found.category != 0)
        own |= found.items == found.item
        # Weights that are not normalised may lie far from 0, and close together.
        axes.vlines(place, np.median(found.weights), found.weights, color=LINE, linewidth=1)
        for inside, colour, marker, name in (
            (~own, OTHER, "o", "other category"),
            (own, SERIES[0], "D", "category of the candidate"),
        ):
            axes.plot(
                place[inside], found.weights[inside], color=colour, marker=marker, linestyle="",
                markersize=6, markeredgecolor=SURFACE, label=name,
            )  # fmt: skip
        step = max(1, len(place) // 6)
        ticks = place[::-1][::step][::-1]
        axes.set_xticks(ticks, [age_text(int(found.ages_ms[k])) for k in ticks])
        axes.set(xlabel="age of the behavior, newest right", ylabel="attention")
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
        alt = (
            f"Attention of the candidate to {len(place)} behaviors from {found.weights.min():.3g} "
            f"to {found.weights.max():.3g}; the largest stand in the table below."
        )
        return inline_svg(figure, "attention", alt)


def slot_plot(values: Floats, name: str, label: str) -> str:
    """Draw a figure of memory slots: the median over users, and where 80 % of them lie."""
    with drawing(4.8, 3.2) as figure:
        axes = with_grid(figure.subplots(), "y")
        low, median, high = np.nanquantile(values, (0.1, 0.5, 0.9), axis=0)
        place = np.arange(1, values.shape[1] + 1)
        axes.bar(place, median, color=SERIES[0], width=0.6)
        axes.vlines(place, low, high, color=INK, linewidth=1.5)
        axes.set_xticks(place)
        axes.set(xlabel="slot", ylabel=label)
        axes.set_ylim(bottom=0)
        alt = f"{label} of each slot, median of users: " + ", ".join(
            f"slot {k} {value:.3g}" for k, value in zip(place, median, strict=True)
        )
        return inline_svg(figure, name, alt)


def memory_plots(memories: Memories) -> list[str]:
    """Draw what a memory tells of its slots."""
    plots = []
    # Where periods say when a slot is written, its use follows from them.
    if memories.slot_use is not None and memories.periods is None:
        plots.append(slot_plot(memories.slot_use, "slot-use", "mean write weight"))
    spans = memories.slot_spans_ms
    if spans is not None and np.isfinite(spans).any():
        plots.append(slot_plot(spans / _HOUR_MS, "slot-spans", "hours between two writes"))
    plots.append(slot_plot(memories.slot_norms, "slot-norms", "length of the slot's vector"))
    return plots


def age_text(age_ms: int) -> str:
    """Return an age in its largest unit, rounded: ``45 s``, ``12 min``, ``3 h``, ``9 d``."""
    seconds = age_ms / 1000
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
