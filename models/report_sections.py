"""The sections of the HTML report, each its head and its HTML."""

import html
from dataclasses import dataclass
from typing import Any

from models.bundle import Bundle
from models.evaluation import Evaluation
from models.ids_as_text import IdText
from models.report_plots import (
    age_text,
    attention_plot,
    calibration_plot,
    history_plot,
    item_map_plot,
    memory_plots,
    roc_plot,
    staleness_plot,
    trigger_plot,
)
from models.report_tables import (
    ReportTable,
    bins_table,
    calibration_table,
    comparison_table,
    figures_table,
    segment_table,
    staleness_table,
    trigger_table,
)
from models.report_views import attention_of, item_map, memories_of, typical_row
from models.samples import PointInTime
from models.segments import HISTORY
from models.split_scores import SplitScores
from models.tables import Samples

_TOP_BEHAVIORS = 10


@dataclass(frozen=True)
class ReportInput:
    """What an HTML report is made of.

    Attributes:
        evaluation: The figures.
        scores: What they were computed from.
        bundle: The model.
        data: Events and samples, joined by its rules.
        samples: The sample table.
        about: What to say of the data, by name.
        id_text: Ids as people wrote them.
        request: Row of the sample whose attention to show, None for a typical one.
    """

    evaluation: Evaluation
    scores: SplitScores
    bundle: Bundle
    data: PointInTime
    samples: Samples
    about: dict[str, Any]
    id_text: IdText
    request: int | None = None


@dataclass(frozen=True)
class Section:
    """A part of the page: its anchor, its head, and its HTML."""

    anchor: str
    head: str
    body: str


def sections_of(given: ReportInput) -> list[Section]:
    """Return every section of the page.

    Raises:
        ConfigurationError: The split does not hold the request.
    """
    return [
        _figures(given),
        _curves(given),
        _segments(given.evaluation),
        _staleness(given.evaluation),
        _items(given),
        _attention(given),
        _memories(given),
    ]


def table_html(table: ReportTable) -> str:
    """Return a table with its title and note."""
    heads = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in table.columns)
    rows = "".join(
        f'<tr><th scope="row">{html.escape(first)}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in rest)
        + "</tr>\n"
        for first, *rest in table.rows
    )
    note = f'<p class="note">{html.escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="scroll" tabindex="0"><table><caption>{html.escape(table.title)}</caption>'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>{note}"
    )


def _plots(*plots: tuple[str, str]) -> str:
    """Return plots side by side, each with its caption."""
    shown = "".join(
        f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"
        for svg, caption in plots
    )
    return f'<div class="plots">{shown}</div>'


def _empty(reason: str) -> str:
    return f'<p class="empty">{html.escape(reason)}</p>'


def _figures(given: ReportInput) -> Section:
    evaluation = given.evaluation
    tables = [figures_table(evaluation), comparison_table(evaluation)]
    return Section("figures", "Figures", "".join(table_html(t) for t in tables if t.rows))


def _curves(given: ReportInput) -> Section:

    scores, evaluation = given.scores, given.evaluation
    curves = {scores.model: scores.own, **scores.rivals()}
    if scores.oracle is not None:
        curves["oracle"] = scores.oracle
    body = _plots(
        (roc_plot(scores.samples.labels, curves), "Up and left is better; the diagonal is chance."),
        (
            calibration_plot(evaluation.calibration),
            "Each point is a tenth of the samples by prediction. Above the diagonal clicks are "
            "underestimated, below overestimated.",
        ),
    )
    tables = (calibration_table(evaluation), bins_table(evaluation))
    return Section("curves", "ROC and calibration", body + "".join(map(table_html, tables)))


def _segments(evaluation: Evaluation) -> Section:

    by_kind = evaluation.segments_by_kind()
    body = _plots(
        (
            history_plot(evaluation.model, by_kind[HISTORY]),
            "AUC against what was known of the user; the bars are intervals of the model.",
        )
    )
    tables = [segment_table(kind, segments) for kind, segments in by_kind.items()]
    body += "".join(map(table_html, tables)) + _triggers(evaluation)
    return Section("segments", "Segments", body)


def _triggers(evaluation: Evaluation) -> str:
    """Return how far users follow the trigger by page; nothing of a model that does not say."""
    pages = evaluation.p_trigger_by_page
    if not pages:
        return ""
    plot = ""
    if any(page.page is not None for page in pages):
        plot = _plots(
            (
                trigger_plot(pages),
                "How probable the model takes it that the user follows the item that led here: the "
                "mean of the samples with a trigger; the lines hold 80 % of them.",
            )
        )
    return plot + table_html(trigger_table(evaluation))


def _staleness(evaluation: Evaluation) -> Section:
    head = "Staleness"
    if not evaluation.staleness:
        return Section("staleness", head, _empty("Not asked for: --staleness 0,1h,1d,7d."))

    plot = _plots(
        (
            staleness_plot(evaluation.staleness),
            "What is lost when states are only that fresh; the lines are intervals.",
        )
    )
    return Section("staleness", head, plot + table_html(staleness_table(evaluation)))


def _items(given: ReportInput) -> Section:

    head = "Item embeddings"
    items = item_map(given.bundle, given.samples, given.evaluation.bootstrap.seed)
    if items is None:
        return Section("items", head, _empty("The bundle knows too few of the items shown."))
    caption = (
        f"t-SNE of {len(items.places):,} items that were shown, by the embedding of the item alone."
        " Neighbours are alike to the model; distances between groups mean little. Left the largest"
        " categories, right the click rate of each item over all samples, smoothed."
    )
    return Section("items", head, _plots((item_map_plot(items, given.id_text), caption)))


def _attention(given: ReportInput) -> Section:

    head, shown, id_text = "Attention", given.scores.samples, given.id_text
    row = typical_row(shown) if given.request is None else given.request
    found = attention_of(given.bundle, given.data, shown, row)
    if found is None:
        return Section("attention", head, _empty("The reader of this model has no attention."))
    probability = float(given.scores.own[shown.place_of(row)])
    said = (
        f"Sample {row}: item {id_text(found.item)} of category {id_text(found.category)}, "
        f"predicted {probability:.1%}, {'clicked' if found.clicked else 'not clicked'}."
    )
    if not len(found.items):
        return Section("attention", head, _empty(f"{said} The user had no behaviors before it."))
    strongest = abs(found.weights).argsort(kind="stable")[::-1][:_TOP_BEHAVIORS]
    table = ReportTable(
        "Behaviors with the most attention",
        ("item", "category", "event type", "age", "attention"),
        tuple(
            (
                id_text(int(found.items[k])),
                id_text(int(found.categories[k])),
                found.types[k],
                age_text(int(found.ages_ms[k])),
                f"{found.weights[k]:.4f}",
            )
            for k in strongest
        ),
        "Each model's attention is on a scale of its own; the paper's DIN does not normalise it.",
    )
    caption = (
        "How much the candidate attends to each behavior that the reader saw. The lines begin at "
        "the median, the axis not at 0."
    )
    body = f"<p>{html.escape(said)}</p>" + _plots((attention_plot(found), caption))
    return Section("attention", head, body + table_html(table))


def _memories(given: ReportInput) -> Section:

    head = "Long-term memory"
    if given.bundle.updater is None:
        return Section("memory", head, _empty("This model has no long-term memory."))
    seed = given.evaluation.bootstrap.seed
    memories = memories_of(given.bundle, given.data, given.scores.samples, seed)
    if memories is None:
        return Section("memory", head, _empty("No sample of the split has a memory."))
    periods = ""
    if memories.periods is not None:
        written = ", ".join(f"{period:,}" for period in memories.periods)
        periods = f" The slots are written every {written} events."
    note = (
        f"<p>Slots of {given.bundle.updater.name} at {len(memories.slot_norms):,} requests drawn "
        f"from the split.{periods}</p>"
    )
    caption = "Median of the requests; the lines hold 80 % of them."
    plots = [(plot, caption) for plot in memory_plots(memories)]
    return Section("memory", head, note + _plots(*plots))
