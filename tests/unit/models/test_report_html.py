"""The page: every section, nothing from elsewhere, and plots that are what the arrays say."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from small_logs import HOUR_MS, make_small_log

from models.bootstrap import BootstrapOptions
from models.bundle import load_bundle, untrained_bundle
from models.ctr_metrics import auc
from models.evaluation import evaluate
from models.report_html import html_of, write_html
from models.report_sections import ReportInput
from models.report_style import STYLE
from models.report_svg import VARIABLES
from models.report_views import attention_of, item_map, memories_of, roc_curve, typical_row
from models.request_batches import RequestTensors
from models.samples import point_in_time
from models.split_scores import Besides, score_split

ANCHORS = ["figures", "curves", "segments", "staleness", "items", "attention", "memory"]
VOID = {"meta", "br"}

MakeInput = Callable[[str], ReportInput]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def make_input(tmp_path_factory: pytest.TempPathFactory) -> MakeInput:
    """Return what builds the input of a report on a small log, by model name."""
    events, samples = make_small_log()
    samples = replace(samples, oracle=np.full(len(samples.users), 0.3))

    def make(model: str, lags_ms: tuple[int, ...] = (0, HOUR_MS)) -> ReportInput:
        directory = tmp_path_factory.mktemp("bundle")
        untrained_bundle(directory, model, seed=1)
        bundle = load_bundle(directory)
        data = point_in_time(events, samples, bundle.state)
        scores = score_split(
            bundle,
            samples,
            "test",
            lambda state, lag_ms: point_in_time(events, samples, state, staleness_ms=lag_ms),
            Besides(bases={"<b>base</b>": bundle}, lags_ms=lags_ms),
        )
        return ReportInput(
            evaluation=evaluate(scores, BootstrapOptions(20)),
            scores=scores,
            bundle=bundle,
            data=data,
            samples=samples,
            about={"events": "e & co.csv"},
            id_text=lambda identifier: f"<id {identifier}>",
        )

    return make


class Page(HTMLParser):
    """Checks that elements close in order, and collects ids, links and SVGs without a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.silent: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.targets += [(found["href"] or "")] if "href" in found else []
        if tag == "svg" and len(found.get("aria-label") or "") < 20:
            self.silent.append(str(found))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("model", ["din+mimn", "din+hpmn"])
def test_the_page_has_every_section_and_needs_nothing_else(
    make_input: MakeInput, model: str, tmp_path: Path
) -> None:
    write_html(make_input(model), tmp_path / "pages" / "report.html")
    text = (tmp_path / "pages" / "report.html").read_text()
    page = Page(text)
    assert re.findall(r'<section id="(\w+)"', text) == ANCHORS
    for forbidden in ("http", "xlink", "<script", "<link", "@import", "url(//", "nan<", "None<"):
        assert forbidden not in text, forbidden
    assert len(page.ids) == len(set(page.ids))
    assert all(target[0] == "#" and target[1:] in page.ids for target in page.targets)
    assert page.silent == []
    # ROC, calibration, history, staleness, items, attention, and two of the memory.
    assert text.count("<svg") == 8
    assert "<b>base" not in text
    assert "&lt;b&gt;base" in text
    assert "e &amp; co.csv" in text
    assert "<id " not in text


def test_colours_follow_the_theme(make_input: MakeInput) -> None:
    text = html_of(make_input("din"))
    light, dark = STYLE.split("@media (prefers-color-scheme: dark)")
    for colour, variable in VARIABLES.items():
        assert colour not in text
        assert f"{variable}:" in light
        assert f"{variable}:" in dark
    # What matplotlib would add by itself is black or white in both themes.
    assert re.findall(r"#(?:000000|ffffff)", text.split("</style>")[1]) == []


def test_what_there_is_none_of_is_said(make_input: MakeInput) -> None:
    given = make_input("din")
    given = replace(given, evaluation=replace(given.evaluation, staleness=()))
    few = given.samples.items[:3]
    samples = replace(given.samples, items=np.resize(few, len(given.samples.items)))
    text = html_of(replace(given, samples=samples))
    assert re.findall(r'<section id="(\w+)"', text) == ANCHORS
    assert "--staleness 0,1h,1d,7d" in text
    assert "no long-term memory" in text
    assert "too few" in text


def test_a_page_is_the_same_twice(make_input: MakeInput) -> None:
    given = make_input("din+mimn")
    assert html_of(given) == html_of(given)


def test_the_curve_holds_the_auc() -> None:
    rng = np.random.default_rng(8)
    scores = rng.random(3000).round(2)
    labels = rng.random(3000) < scores
    x, y = roc_curve(labels, scores)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(auc(labels, scores), abs=1e-3)
    assert len(roc_curve(np.ones(5), np.arange(5.0))[0]) == 0


def test_attention_is_the_readers_own(make_input: MakeInput) -> None:
    given = make_input("din+mimn")
    shown = given.scores.samples
    row = typical_row(shown)
    place = shown.place_of(row)
    assert shown.labels[place] == 1
    lengths = shown.history_lengths[(shown.labels == 1) & (shown.history_lengths > 0)]
    assert abs(np.median(lengths) - shown.history_lengths[place]) <= 2
    found = attention_of(given.bundle, given.data, shown, row)
    assert found is not None
    assert found.item == given.samples.items[row]
    n = min(shown.history_lengths[place], given.bundle.ranker.model.config.history_length)
    assert len(found.items) == len(found.weights) == n
    assert np.all(np.diff(found.ages_ms) <= 0)
    assert found.ages_ms[-1] > 0
    # The weights times the behaviors are what the reader found.
    model = given.bundle.ranker.model
    known = given.bundle.vocabulary
    with torch.inference_mode():
        batch, _ = RequestTensors(given.data, known, model.config).batch(
            np.array([shown.owners[place]])
        )
        seen = model.see(batch)
        request = given.data.requests
        first = request.starts[shown.owners[place]]
        column = int(np.flatnonzero(request.rows[first:] == row)[0])
        interest = model.reader(seen).interest[0, column, : model.config.dim].numpy()
        expected = found.weights @ seen.behaviors.keys[0, :n].double().numpy()
    np.testing.assert_allclose(interest, expected, rtol=1e-4, atol=1e-5)


def test_items_are_drawn_by_the_seed_and_counted_over_all_samples(make_input: MakeInput) -> None:
    given = make_input("din")
    one, again = (item_map(given.bundle, given.samples, seed=4) for _ in range(2))
    assert one is not None
    assert again is not None
    np.testing.assert_array_equal(one.places, again.places)
    items = np.unique(given.samples.items)
    assert len(one.places) == len(items)
    mine = given.samples.items == items[3]
    clicks, overall = given.samples.labels[mine].sum(), given.samples.labels.mean()
    assert one.click_rates[3] == pytest.approx((clicks + 20 * overall) / (mine.sum() + 20))


def test_time_scales_of_slots_follow_from_periods(make_input: MakeInput) -> None:
    """Events come every hour: a slot that is written every fourth event spans four hours."""
    given = make_input("din+hpmn")
    found = memories_of(given.bundle, given.data, given.scores.samples, seed=0)
    assert found is not None
    assert found.periods is not None
    assert found.slot_spans_ms is not None
    spans = found.slot_spans_ms[np.isfinite(found.slot_spans_ms[:, 0])]
    np.testing.assert_allclose(spans, np.tile(found.periods * HOUR_MS, (len(spans), 1)))


def test_use_of_slots_is_what_the_memory_says(make_input: MakeInput) -> None:
    given = make_input("din+mimn")
    found = memories_of(given.bundle, given.data, given.scores.samples, seed=0)
    assert found is not None
    assert found.slot_use is not None
    assert found.periods is None
    np.testing.assert_allclose(found.slot_use.sum(1), 1, atol=1e-4)
