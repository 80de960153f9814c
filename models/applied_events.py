"""Which events of a log count: those that a worker would apply, by the rules of the state.

The rules are those of ``interest_center/engine_scan.py``: an event whose id is among the user's
last applied ones changes nothing, and neither does one that is too old beside the user's newest.
"""

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import compiled
from interest_center.core.layout import StateConfig

Ints = NDArray[np.int64]
Verdicts = NDArray[np.uint8]

APPLIED, DUPLICATE, LATE = range(3)


def judge(
    starts: Ints, times_ms: Ints, event_ids: NDArray[np.uint64] | None, state: StateConfig
) -> Verdicts:
    """Return ``APPLIED``, ``DUPLICATE`` or ``LATE`` for each event.

    Args:
        starts: First event of each user, ``[n_users + 1]``.
        times_ms: Event times, one user after the other, in arrival order, ``[n_events]``.
        event_ids: What tells the events apart; None when nothing does: then none is a duplicate.
        state: How many event ids are remembered, and when an event is late.
    """
    previous = np.full(len(times_ms), -1, np.int64)
    if event_ids is not None:
        users = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        order = np.lexsort((event_ids, users))
        again = users[order][1:] == users[order][:-1]
        again &= event_ids[order][1:] == event_ids[order][:-1]
        previous[order[1:][again]] = order[:-1][again]
    verdicts = np.zeros(len(times_ms), np.uint8)
    _walk(starts, times_ms, previous, (state.n_event_ids, state.late_after_ms), verdicts)
    return verdicts


@compiled
def _walk(
    starts: Ints, times_ms: Ints, previous: Ints, limits: tuple[int, int], verdicts: Verdicts
) -> None:
    """Fill ``verdicts``; ``previous`` is the user's event before with the same id, -1 for none."""
    n_remembered, late_after_ms = limits
    # How many of the user's events were applied before the last applied one of this id.
    place = np.full(times_ms.shape[0], -1, np.int64)
    for user in range(starts.shape[0] - 1):
        n_applied, newest = 0, np.int64(0)
        for i in range(starts[user], starts[user + 1]):
            if previous[i] >= 0:
                place[i] = place[previous[i]]
            if place[i] >= 0 and place[i] >= n_applied - n_remembered:
                verdicts[i] = DUPLICATE
            elif n_applied > 0 and times_ms[i] < newest - late_after_ms:
                verdicts[i] = LATE
            else:
                newest = times_ms[i] if n_applied == 0 else max(newest, times_ms[i])
                place[i] = n_applied
                n_applied += 1
