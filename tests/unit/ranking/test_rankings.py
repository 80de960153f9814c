"""The warm-up reaches every compiled part, whatever the state rules feed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from interest_center.core.layout import StateConfig
from models.bundle import load_bundle, untrained_bundle
from models.inputs import RankInputs
from models.mimn_updater import MimnUpdater
from models.ranker import Ranker
from models.vocabulary import Vocabulary
from ranking.rankings import Rankings
from ranking.scorer import warm_up_type
from ranking.state_client import StateClient

TYPES = ("view", "click", "cart")


@pytest.mark.parametrize(
    ("ring", "memory", "expected"),
    [
        (TYPES, TYPES, "view"),
        (("click",), ("cart", "click"), "click"),
        (("view",), ("cart",), "cart"),
        ((), ("click",), "click"),
        (("cart",), (), "cart"),
        ((), (), "view"),
    ],
)
def test_the_event_type_that_feeds_most_is_taken(
    ring: tuple[str, ...], memory: tuple[str, ...], expected: str
) -> None:
    rules = StateConfig(TYPES, behavior_types=ring, subsequence_types=(), memory_types=memory)
    assert warm_up_type(rules) == expected


@pytest.mark.parametrize("ring", [(), ("view",), ("click",)])
def test_a_ranker_warms_up_scan_and_tiles(tmp_path: Path, ring: tuple[str, ...]) -> None:
    walked, scored = [], []

    class Watched(MimnUpdater):
        def update_many(self, rows: NDArray[np.float32], *events: Any) -> None:
            walked.append(len(events[0]))
            super().update_many(rows, *events)

    class WatchedRanker(Ranker):
        def score(self, inputs: RankInputs) -> NDArray[np.float64]:
            scores = super().score(inputs)
            scored.append(len(np.unique(scores)))
            return scores

    rules = StateConfig(behavior_types=ring, memory_types=("click",))
    items = np.arange(5001, 6001, dtype=np.uint64)
    vocabulary = Vocabulary.from_pairs(items, items % 50 + 1)
    untrained_bundle(tmp_path, vocabulary=vocabulary, state=rules)
    bundle = load_bundle(tmp_path)
    assert isinstance(bundle.updater, MimnUpdater)
    bundle.updater.__class__ = Watched
    ranker = WatchedRanker(bundle.ranker.model, bundle.vocabulary)
    rankings = Rankings({"m": replace(bundle, ranker=ranker)}, StateClient([], 1.0), lambda: 0)
    rankings.warm_up()
    rankings.close()
    assert max(walked) == 100
    # Candidates that are all the same to the model would be scored as one.
    assert max(scored) > 900
