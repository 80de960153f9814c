"""MIMN: what only a memory with addressed slots must hold."""

from pathlib import Path

import numpy as np
from memories import make_stream, make_subject, walk_twin


def test_slots_do_not_become_one(tmp_path: Path) -> None:
    """With equal slots the choice of a channel is rounding noise, and all hold what one does."""
    subject = make_subject("mimn", tmp_path)
    _, items, categories = make_stream(600, 1, 4)
    state = walk_twin(subject, items, categories)
    assert np.mean(np.array(state.margins[100:]) < 1e-5) < 0.01
    slots = np.array(state.memory)
    distances = np.linalg.norm(slots[:, None] - slots[None], axis=-1)
    assert distances[np.triu_indices(len(slots), 1)].min() > 0.1


def test_summary_tells_the_use_of_slots(tmp_path: Path) -> None:
    subject = make_subject("mimn", tmp_path)
    rows = subject.updater.initial_row()[None].copy()
    _, items, categories = make_stream(9, 1)
    subject.updater.update_many(rows, np.zeros(9, np.int64), items, categories)
    told = subject.updater.summarise(rows[0])
    usage = np.array(walk_twin(subject, items, categories).g) / 9
    np.testing.assert_allclose(told["slot_use"], usage, atol=1e-4)
    assert len(told["channel_norms"]) == len(told["slot_norms"]) == len(usage)
