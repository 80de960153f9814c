"""What a ranking sees of a request; numpy only, so that a caller needs no torch to build it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RankInputs:
    """One user's state and the candidates to score.

    Attributes:
        behavior_items: Item ids of the recent behaviors, oldest first, ``[T]``; the ranker takes
            the newest that it was trained to see.
        behavior_categories: Category ids, 0 where the event had none, ``[T]``.
        behavior_types: Event types as codes of the state configuration, ``[T]``.
        behavior_times_ms: Event times, ``[T]``.
        memory: Long-term memory, ``[row_floats]``; None when the user has none or it may not be
            read.
        candidate_items: Item ids to score, ``[N]``.
        candidate_categories: Category ids, 0 where unknown: the bundle's own map is asked, ``[N]``.
        time_ms: Time of the request.
        page: Page number of the request, None when it has none.
        trigger_item: Item the user came from, 0 when there is none.
        trigger_category: Its category, 0 where unknown: the bundle's own map is asked.
    """

    behavior_items: NDArray[np.uint64]
    behavior_categories: NDArray[np.uint64]
    behavior_types: NDArray[np.uint8]
    behavior_times_ms: NDArray[np.int64]
    memory: NDArray[np.float32] | None
    candidate_items: NDArray[np.uint64]
    candidate_categories: NDArray[np.uint64]
    time_ms: int
    page: int | None = None
    trigger_item: int = 0
    trigger_category: int = 0
