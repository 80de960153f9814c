"""Segments of a kind hold every sample once, at the edges they name."""

import numpy as np

from models.segments import HISTORY, PAGE, TRIGGER, segments_of
from models.tables import NO_PAGE


def test_segments_add_up() -> None:
    rng = np.random.default_rng(7)
    lengths, pages = rng.integers(0, 200, 500), rng.integers(NO_PAGE, 30, 500)
    trigger = rng.random(500) < 0.3
    found = list(segments_of(lengths, trigger, pages))
    for kind in (HISTORY, TRIGGER, PAGE):
        times = sum(s.inside.astype(int) for s in found if s.kind == kind)
        assert (times == 1).all(), kind


def test_edges_are_where_their_names_say() -> None:
    lengths = np.array([0, 1, 5, 6, 20, 21, 50, 51, 100, 101])
    pages = np.array([NO_PAGE, 0, 9, 10, 400, 0, 0, 0, 0, 0])
    found = {
        (s.kind, s.name): np.flatnonzero(s.inside).tolist()
        for s in segments_of(lengths, lengths > 50, pages)
    }
    assert [found[HISTORY, n] for n in ("0", "1-5", "6-20", "21-50", "51-100", ">100")] == [
        [0], [1, 2], [3, 4], [5, 6], [7, 8], [9],
    ]  # fmt: skip
    assert found[TRIGGER, "trigger"] == [7, 8, 9]
    assert found[PAGE, "no page"] == [0]
    assert found[PAGE, "9"] == [2]
    assert found[PAGE, "10 or later"] == [3, 4]
    assert (PAGE, "1") not in found
