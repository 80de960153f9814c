"""When the rows of changed users are written: in rounds, so that the journal stays short.

A round begins at a position and writes, a few at a time, the users whose rows were dirty then. When
it is done, no row lacks an event from before that position, and the journal may end there. A user
is written once a round, however many events there were; so the longer a round, the fewer bytes, and
the longer the replay after a crash. Its length follows from what a replay may cost.
"""

import numpy as np
from numpy.typing import NDArray

from interest_center.hot_rows import HotRows

#: Replaying an event costs 1, reading a user's rows so much more.
USER_COST = 4
#: The most users that one checkpoint writes without need: they hold up reads meanwhile.
MOST_USERS = 125


class WriteBack:
    """Chooses the rows that a checkpoint writes.

    Args:
        hot: Rows of the partition.
        replay_cost: What replaying the journal may cost, in events.
        position: Where the copy is.
        journal_cost: What it would cost to replay all that the journal ever took.

    Attributes:
        began_at: Position at which the round began.
    """

    def __init__(self, hot: HotRows, replay_cost: int, position: int, journal_cost: int) -> None:
        self._hot = hot
        self._half = max(1, replay_cost // 2)
        self.begin(position, journal_cost)

    def begin(self, position: int, journal_cost: int) -> None:
        """Begin a round: all rows that are dirty now."""
        self.began_at = position
        self._cost_before = journal_cost
        self._rows = self._hot.users.dirty_rows()
        self._n_done = 0

    def _cost(self, journal_cost: int) -> int:
        """Return what replaying the events since the round began would cost."""
        n_left = len(self._rows) - self._n_done
        n_fresh = max(0, self._hot.users.n_dirty - n_left)
        return journal_cost - self._cost_before + USER_COST * n_fresh

    def n_due(self, journal_cost: int) -> int:
        """Return how many users should be written now."""
        n_rows = len(self._rows)
        share = min(self._cost(journal_cost), self._half)
        return max(0, -(-n_rows * share // self._half) - self._n_done)

    def next_rows(self, n: int) -> NDArray[np.int64]:
        """Return the next rows of the round, ``n`` or as many as there are."""
        return self._rows[self._n_done : self._n_done + n]

    def ends_with(self, n: int) -> bool:
        """Tell whether the round is done when ``n`` more rows are written."""
        return self._n_done + n >= len(self._rows)

    def done(self, n: int, position: int, journal_cost: int) -> None:
        """Note that the next ``n`` rows are written; begin another round when it is time."""
        self._n_done += n
        if self._n_done >= len(self._rows) and self._cost(journal_cost) >= self._half:
            self.begin(position, journal_cost)
