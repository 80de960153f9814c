"""The order: by score, ties by item id, bids or none, the first k."""

import numpy as np
import pytest
from msgspec.structs import replace
from stored_states import Did, Known, make_user_state

from interest_center.core.errors import BundleError
from interest_center.core.ids import encode_id
from models.bundle import Bundle
from ranking.history import HistoryReader
from ranking.messages import Candidate, RankRequest, Trigger
from ranking.ranker import Ordered, answer_of, order, rank_inputs, unseen

TIME_MS = 1_764_000_000_000
NOTHING = Ordered([], 0)


def scored(probabilities: dict[str, float], top_k: int | None = None) -> list[str]:
    """Return the order of items without bids."""
    candidates = [Candidate(item_id) for item_id in probabilities]
    ordered = order(candidates, np.array([*probabilities.values()]), top_k)
    return [item.item_id for item in ordered.items]


def test_the_best_comes_first() -> None:
    assert scored({"a": 0.1, "b": 0.9, "c": 0.5}) == ["b", "c", "a"]


def test_ties_are_broken_by_item_id_whatever_the_order_sent() -> None:
    rng = np.random.default_rng(3)
    items = [str(i) for i in range(30)]
    expected = sorted(items)
    for _ in range(20):
        rng.shuffle(items)
        assert scored(dict.fromkeys(items, 0.25)) == expected


def test_top_k_is_the_head_of_the_whole_order() -> None:
    probabilities = {str(i): (i * 7 % 11) / 11 for i in range(40)}
    assert scored(probabilities, 5) == scored(probabilities)[:5]
    assert scored(probabilities, 1000) == scored(probabilities)


def test_bids_order_by_expected_revenue() -> None:
    candidates = [Candidate("a", bid=1.0), Candidate("b", bid=10.0), Candidate("c", bid=0)]
    items = order(candidates, np.array([0.5, 0.1, 0.9]), None).items
    assert [item.item_id for item in items] == ["b", "a", "c"]
    assert [item.rank for item in items] == [1, 2, 3]
    assert items[0].score == pytest.approx(1.0)
    assert items[0].probability == pytest.approx(0.1)
    assert items[2].score == 0


def test_what_is_below_the_reserve_is_left_out_and_counted() -> None:
    candidates = [Candidate("a", bid=1.0), Candidate("b", bid=10.0), Candidate("c", bid=2.0)]
    ordered = order(candidates, np.array([0.5, 0.1, 0.2]), 1, reserve=0.5)
    assert [item.item_id for item in ordered.items] == ["b"]
    assert ordered.n_below == 1


def test_what_was_seen_lately_is_left_out_when_asked_for(bundle: Bundle) -> None:
    reader = HistoryReader(bundle.state, bundle.updater)
    history = reader.read(make_user_state("u1", Known([Did("5", "7", 2), Did("x", None)])))
    request = RankRequest("u1", [Candidate("5"), Candidate("6"), Candidate("x")])
    assert unseen(request, history) == request.candidates
    asked = replace(request, exclude_seen=True)
    assert [one.item_id for one in unseen(asked, history)] == ["6"]
    answer = answer_of(asked, history, NOTHING, "m", TIME_MS)
    assert answer.n_left_out == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_give_no_order(value: float) -> None:
    with pytest.raises(BundleError):
        order([Candidate("a"), Candidate("b")], np.array([0.5, value]), None)


def test_inputs_hold_what_was_sent(bundle: Bundle) -> None:
    reader = HistoryReader(bundle.state, bundle.updater)
    state = make_user_state("u1", Known([Did("5", "7", 2), Did("x", None)]))
    request = RankRequest(
        "u1",
        [Candidate("1"), Candidate("two", "c")],
        trigger=Trigger("9", "8"),
        page=3,
    )
    inputs = rank_inputs(request, reader.read(state), TIME_MS)
    assert inputs.candidate_items.tolist() == [1, encode_id("two")]
    assert inputs.candidate_categories.tolist() == [0, encode_id("c")]
    assert (inputs.trigger_item, inputs.trigger_category) == (9, 8)
    assert (inputs.page, inputs.time_ms) == (3, TIME_MS)
    assert inputs.behavior_items.tolist() == [5, encode_id("x")]
    assert inputs.behavior_categories.tolist() == [7, 0]
    assert inputs.behavior_types.tolist() == [2, 1]


@pytest.mark.parametrize("n", [2, 3, 130, 257])
def test_unknown_items_of_one_category_are_ordered_by_their_ids(bundle: Bundle, n: int) -> None:
    items = [f"new-{i}" for i in range(n)]
    np.random.default_rng(n).shuffle(items)
    history = HistoryReader(bundle.state, bundle.updater).read(
        make_user_state("u1", Known([Did("5", "7", 2), Did("x", None)]))
    )
    request = RankRequest("u1", [Candidate(item, "7") for item in items])
    probabilities = bundle.ranker.score(rank_inputs(request, history, TIME_MS))
    ordered = [item.item_id for item in order(request.candidates, probabilities, None).items]
    assert ordered == sorted(items)
    bids = [replace(candidate, bid=0.3) for candidate in request.candidates]
    assert [item.item_id for item in order(bids, probabilities, None).items] == sorted(items)


def test_an_answer_says_how_old_its_state_is(bundle: Bundle) -> None:
    reader = HistoryReader(bundle.state, None)
    request = RankRequest("u1", [Candidate("1")])
    known = reader.read(make_user_state("u1", Known([Did("5", event_time_ms=TIME_MS)])))
    answer = answer_of(request, known, NOTHING, bundle.fingerprint, TIME_MS + 250)
    assert (answer.as_of, answer.age_ms, answer.watermark) == (TIME_MS, 250, 7)
    assert answer.model == bundle.fingerprint
    missing = answer_of(request, reader.missing("state_timeout"), NOTHING, "m", TIME_MS)
    assert (missing.as_of, missing.age_ms, missing.watermark) == (None, None, None)
    assert missing.degraded == "state_timeout"
