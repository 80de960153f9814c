"""Parts of a split by what was known of the user and of the page: where a model is good."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.samples import Ints
from models.tables import NO_PAGE

#: Largest number of behaviors of each part but the last.
_HISTORY_EDGES = (0, 5, 20, 50, 100)
_HISTORY_NAMES = ("0", "1-5", "6-20", "21-50", "51-100", ">100")
_LAST_PAGE = 10

HISTORY, TRIGGER, PAGE = "history_length", "trigger", "page"


class Segment(NamedTuple):
    """Some samples of a split."""

    kind: str  # HISTORY, TRIGGER or PAGE.
    name: str
    inside: NDArray[np.bool_]  # [n]


def segments_of(
    history_lengths: Ints, has_trigger: NDArray[np.bool_], pages: Ints
) -> Iterator[Segment]:
    """Yield the segments that hold samples; those of one kind hold every sample once.

    Args:
        history_lengths: Behaviors that each sample's user had, those beyond the ring included,
            ``[n]``.
        has_trigger: Whether the user came from an item, ``[n]``.
        pages: Page number, ``NO_PAGE`` for none; pages from 10 on are one segment, ``[n]``.
    """
    part = np.searchsorted(_HISTORY_EDGES, history_lengths, side="left")
    yield from _parts(HISTORY, part, dict(enumerate(_HISTORY_NAMES)))
    yield from _parts(TRIGGER, has_trigger, {0: "no trigger", 1: "trigger"})
    yield from page_segments(pages)


def page_segments(pages: Ints) -> Iterator[Segment]:
    """Yield the segments by page number, see ``segments_of``."""
    names = {page: str(page) for page in range(_LAST_PAGE)}
    names |= {NO_PAGE: "no page", _LAST_PAGE: f"{_LAST_PAGE} or later"}
    yield from _parts(PAGE, np.minimum(pages, _LAST_PAGE), names)


def _parts(kind: str, keys: NDArray[np.generic], names: dict[int, str]) -> Iterator[Segment]:
    for key, name in names.items():
        inside = np.asarray(keys == key)
        if inside.any():
            yield Segment(kind, name, inside)
