"""What a ranking sees of a request; numpy only, so that a caller needs no torch to build it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from interest_center.core.behaviors import Behaviors


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
        n_behaviors: Behaviors that the user ever did, those that the ring has forgotten included;
            None: no more than these.
        user: Id of the user, 0 when it is not known.
        subsequences: By category id, the behaviors of the categories that
            ``Ranker.wanted_categories`` names; those without behaviors may be missing.
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
    n_behaviors: int | None = None
    user: int = 0
    subsequences: Mapping[int, Behaviors] = field(default_factory=dict)
