"""p_trigger by page: of the samples with a trigger, by hand, and from the reader to the page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from small_logs import make_small_log

from interest_center.core.layout import StateConfig
from models.bootstrap import BootstrapOptions
from models.bundle import Bundle, load_bundle, untrained_bundle
from models.evaluation import Evaluation, evaluate
from models.report_html import html_of
from models.report_sections import ReportInput
from models.report_tables import tables_of
from models.request_batches import RequestTensors
from models.samples import PointInTime, point_in_time
from models.split_scores import Besides, SplitSamples, SplitScores, score_split, split_samples
from models.tables import NO_PAGE
from models.trigger_pages import trigger_pages

EVENTS, SAMPLES = make_small_log()
TITLE = "p_trigger by page number"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def make_shown() -> SplitSamples:
    """Return samples with and without a trigger of every page."""
    events, samples = make_small_log(96)
    return split_samples(point_in_time(events, samples, StateConfig()), samples, "test")


def scored(directory: Path, model: str) -> tuple[Bundle, PointInTime, SplitScores]:
    untrained_bundle(directory, model, seed=1)
    bundle = load_bundle(directory)
    data = point_in_time(EVENTS, SAMPLES, bundle.state)
    return bundle, data, score_split(bundle, SAMPLES, "test", lambda *_: data, Besides())


def page_of(directory: Path, model: str) -> tuple[str, Evaluation]:
    """Return the HTML report of an untrained model, and what it is of."""
    bundle, data, scores = scored(directory, model)
    found = evaluate(scores, BootstrapOptions(5))
    return html_of(ReportInput(found, scores, bundle, data, SAMPLES, {}, str)), found


def test_each_page_has_the_mean_of_its_samples_with_a_trigger() -> None:
    shown = make_shown()
    p = np.where(shown.has_trigger, np.random.default_rng(1).random(len(shown.rows)), 0.0)
    pages = trigger_pages(shown, p)
    assert [page.page for page in pages] == [*range(10), None, 10]
    assert [page.name for page in pages][-2:] == ["no page", "10 or later"]
    assert sum(page.n for page in pages) == shown.has_trigger.sum()
    for page in pages:
        first = NO_PAGE if page.page is None else page.page
        last = 10**6 if first == 10 else first
        inside = (shown.pages >= first) & (shown.pages <= last) & shown.has_trigger
        assert page.p_trigger == pytest.approx(p[inside].mean())
        low, high = page.p_trigger_range
        assert ((p[inside] >= low) & (p[inside] <= high)).mean() >= 0.5
        assert p[inside].min() <= low <= high <= p[inside].max()


def test_a_page_without_a_trigger_is_left_out() -> None:
    shown = make_shown()
    p = np.full(len(shown.rows), 0.5)
    first = SplitSamples(**{**vars(shown), "has_trigger": shown.has_trigger & (shown.pages != 3)})
    assert 3 not in [page.page for page in trigger_pages(first, p)]
    nobody = SplitSamples(**{**vars(shown), "has_trigger": np.zeros_like(shown.has_trigger)})
    assert trigger_pages(nobody, p) == trigger_pages(shown, None) == ()


@pytest.mark.parametrize("model", ["dei2n", "dihn+mimn", "dian"])
def test_it_is_what_the_reader_says_of_each_request(tmp_path: Path, model: str) -> None:
    bundle, data, scores = scored(tmp_path, model)
    p, shown, own = scores.p_trigger, scores.samples, bundle.ranker.model
    assert p is not None
    assert p.shape == shown.rows.shape
    assert (p[~shown.has_trigger] == 0).all()
    assert len(np.unique(p[shown.has_trigger].round(6))) > 10
    tensors = RequestTensors(data, bundle.vocabulary, own.config)
    for k in range(0, len(shown.rows), 11):
        batch, _ = tensors.batch(shown.owners[[k]])
        with torch.inference_mode():
            alone = own.reader.trigger_probability(own.see(batch))
        assert alone is not None
        assert p[k] == pytest.approx(alone.item(), abs=1e-5)
    found = evaluate(scores, BootstrapOptions(5))
    rows = json.loads(json.dumps(found.to_dict()))["p_trigger_by_page"]
    assert [(row["page"], row["n"]) for row in rows] == [
        (page.page, page.n) for page in trigger_pages(shown, p)
    ]
    assert {"page", "name", "n", "p_trigger", "p_trigger_range"} == set(rows[0])
    assert TITLE in [table.title for table in tables_of(found)]


def test_a_model_that_does_not_say_has_no_pages(tmp_path: Path) -> None:
    _, _, scores = scored(tmp_path, "din+tra")
    assert scores.p_trigger is None
    found = evaluate(scores, BootstrapOptions(5))
    assert found.to_dict()["p_trigger_by_page"] == []
    assert TITLE not in [table.title for table in tables_of(found)]


def test_the_report_plots_it(tmp_path: Path) -> None:
    text, found = page_of(tmp_path / "dei2n", "dei2n")
    plots = re.findall(r'aria-label="(Mean probability of following[^"]*)"', text)
    assert len(plots) == 1
    shown = [page for page in found.p_trigger_by_page if page.page is not None]
    assert len(shown) > 5
    told = [f"{page.name} {page.p_trigger:.3f}" for page in shown]
    # Of the samples without a page there is a row of the table, and no point.
    assert plots[0].endswith(": " + ", ".join(told))
    assert TITLE in text
    without, _ = page_of(tmp_path / "din", "din")
    assert "following the trigger" not in without
    assert TITLE not in without
    assert text.count("<svg") == without.count("<svg") + 1
