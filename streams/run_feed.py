"""Where a partition's runs come from: opened at a position, held back by room, without gaps."""

from faust.types import TP

from streams.lag_clock import LagClock
from streams.record_runs import RecordRun
from streams.transport import OpenPartition
from streams.worker_tools import WorkerTools

#: Most records of a run: a tenth of a second's work, for which a revocation waits.
RUN_RECORDS = 4000
#: One run is worked on while the next one waits.
ROOM = 2


class RunFeed:
    """Fetches one partition from a position on.

    Args:
        tools: Shared by all partitions.
        topic_partition: The partition.
        lag: Knows where its log ends.
    """

    def __init__(self, tools: WorkerTools, topic_partition: TP, lag: LagClock) -> None:
        self._tools = tools
        self._tp = topic_partition
        self._lag = lag
        self._expected = 0
        #: False before ``open``, after ``close``, and after a run was lost on its way: then the
        #: cure is to open again at the watermark.
        self.is_open = False

    async def open(self, position: int) -> None:
        """Fetch from a position on.

        Raises:
            IllegalStateError: The partition is not assigned to this member (any more).
        """
        self._expected = position
        self.is_open = True
        opened = OpenPartition(self._run_limit(), ROOM)
        await self._tools.consumer.open_partition(self._tp, position, opened)

    def close(self) -> None:
        """Fetch no longer."""
        self.is_open = False
        self._tools.consumer.close_partition(self._tp)

    def give_room(self) -> None:
        """Ask for one more run."""
        self._tools.consumer.give_room(self._tp, self._run_limit())

    def continues(self, run: RecordRun) -> bool:
        """Tell whether a run is the next one; one from before the last ``open`` is not."""
        if run.start_position != self._expected:
            if run.start_position > self._expected:
                self.is_open = False
            return False
        self._expected = run.next_position
        self._lag.saw(run.next_position)
        return True

    def _run_limit(self) -> int:
        return self._tools.throttle.run_limit(RUN_RECORDS)
