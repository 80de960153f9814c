"""The oracle's float64 loop and the product's compiled scan agree; ties are followed."""

from pathlib import Path

import numpy as np
from prove.bundles import bundle_for
from prove.oracle_memory import MemoryOracle, identifier_of, top_choices

from interest_center.core.ids import encode_id
from models.bundle import load_updater


def test_loop_and_scan_agree(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    events = [
        {"item_id": f"item {rng.integers(40)}", "category_id": str(rng.integers(1, 9))}
        for _ in range(300)
    ]
    bundle = bundle_for(events, tmp_path / "bundle", seed=5)
    updater = load_updater(bundle)
    assert updater is not None
    row = updater.initial_row().reshape(1, -1).copy()
    items = np.array([encode_id(event["item_id"]) for event in events], dtype=np.uint64)
    categories = np.array([encode_id(event["category_id"]) for event in events], dtype=np.uint64)
    updater.update_many(row, np.zeros(len(events), np.int64), items, categories)

    sent = [(event["item_id"], event["category_id"]) for event in events]
    loop, _ = MemoryOracle(bundle).row_of(sent, follow=row[0].astype(np.float64))
    assert np.abs(loop - row[0]).max() < 1e-4


def test_a_near_tie_leaves_both_choices() -> None:
    assert top_choices(np.array([0.5, 0.2, 0.3]), 1) == [(0,)]
    assert top_choices(np.array([0.4, 0.400001, 0.2]), 1) == [(1,), (0,)]


def test_ids_are_those_of_the_documents() -> None:
    for text in ("1", "0", "007", "9223372036854775807", "9223372036854775808", "B07", "é", "-1"):
        assert identifier_of(text) == encode_id(text)
