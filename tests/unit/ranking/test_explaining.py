"""The worth of a part is what really happens without it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle, load_bundle, untrained_bundle
from models.inputs import RankInputs
from ranking.explaining import explanation_of, without_behavior

ITEMS = ["7", "8", "9"]
TYPES = ("click", "view")
TIME_MS = 1_764_000_000_000


def inputs_of(bundle: Bundle, items: list[int], **more: object) -> RankInputs:
    """Return a request of somebody who clicked these items, one a minute."""
    n = len(items)
    return RankInputs(
        behavior_items=np.array(items, np.uint64),
        behavior_categories=np.array([item % 5 for item in items], np.uint64),
        behavior_types=np.ones(n, np.uint8),
        behavior_times_ms=TIME_MS - 60_000 * np.arange(n, 0, -1),
        candidate_items=np.array([int(item) for item in ITEMS], np.uint64),
        candidate_categories=np.zeros(len(ITEMS), np.uint64),
        time_ms=TIME_MS,
        n_behaviors=n,
        **({"memory": memory_of(bundle, items)} if "memory" not in more else {}),
        **more,  # type: ignore[arg-type]
    )


def memory_of(bundle: Bundle, items: list[int]) -> np.ndarray:
    assert bundle.updater is not None
    rows = bundle.updater.initial_row()[None].copy()
    ids, categories = np.array(items, np.uint64), np.zeros(len(items), np.uint64)
    bundle.updater.update_many(rows, np.zeros(len(items), np.int64), ids, categories)
    return rows[0]


def test_each_part_is_worth_what_is_lost_without_it(bundle: Bundle) -> None:
    done = [3, 10, 500, 20, 999]
    inputs = inputs_of(bundle, done, trigger_item=3, trigger_category=0)
    told = explanation_of(bundle.ranker, inputs, ITEMS, TYPES)
    scores = bundle.ranker.score(inputs)
    assert [behavior.item_id for behavior in told.behaviors] == [str(item) for item in done]
    assert [behavior.category_id for behavior in told.behaviors] == ["3", None, None, None, "4"]
    for number, item in enumerate(told.items):
        assert item.item_id == ITEMS[number]
        for without, worth in (
            (replace(inputs, memory=None), item.without_memory),
            (replace(inputs, trigger_item=0), item.without_trigger),
        ):
            lost = scores[number] - bundle.ranker.score(without)[number]
            assert worth == pytest.approx(lost, abs=1e-9)
            assert abs(lost) > 1e-9
        for left_out, worth in enumerate(item.without_behavior):
            others = [one for at, one in enumerate(done) if at != left_out]
            times = np.delete(inputs.behavior_times_ms, left_out)
            kinds = np.delete(inputs.behavior_categories, left_out)
            rest = replace(
                inputs_of(bundle, others),
                behavior_times_ms=times,
                behavior_categories=kinds,
                memory=inputs.memory,
                trigger_item=3,
            )
            lost = scores[number] - bundle.ranker.score(rest)[number]
            assert worth == pytest.approx(lost, abs=1e-9)


def test_hashed_ids_are_shown_by_their_digits(bundle: Bundle) -> None:
    inputs = inputs_of(bundle, [1 << 63 | 5], memory=None)
    told = explanation_of(bundle.ranker, inputs, ITEMS, TYPES)
    assert told.behaviors[0].item_id == "#8000000000000005"
    assert told.items[0].without_memory is None
    assert told.items[0].without_trigger is None
    assert told.items[0].slots is None


def test_somebody_without_behaviors_is_explained_too(bundle: Bundle) -> None:
    told = explanation_of(bundle.ranker, inputs_of(bundle, [], memory=None), ITEMS, TYPES)
    assert told.behaviors == []
    assert all(item.without_behavior == [] for item in told.items)


def test_no_older_behavior_takes_the_place_of_the_one_left_out(tmp_path: Path) -> None:
    # At a hundred behaviors a recurrent reader sees fifty: with one less it would see ninety-nine.
    untrained_bundle(tmp_path, "dien")
    bundle = load_bundle(tmp_path)
    done = list(range(1, 101))
    inputs = inputs_of(bundle, done, memory=None)
    n_seen = bundle.ranker.n_seen(inputs)
    assert n_seen < len(done)
    without = without_behavior(inputs, 99, n_seen)
    assert without.behavior_items.tolist() == done[-n_seen:-1]
    assert bundle.ranker.n_seen(without) == n_seen - 1
    told = explanation_of(bundle.ranker, inputs, ITEMS, TYPES)
    assert [behavior.item_id for behavior in told.behaviors] == [str(one) for one in done[-n_seen:]]
