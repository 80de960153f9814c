"""Where a verification reads what users did: a partition of the topic, or a file."""

from collections.abc import Callable
from typing import Protocol

from streams.reference.history import PartitionHistory
from streams.topic_reading import TopicReading

#: Told how far it is: what goes on, how much of it is done, of how much.
Progress = Callable[[str, int, int], None]


class Log(Protocol):
    """What users did, as far as it is known."""

    @property
    def history(self) -> PartitionHistory:
        """The records by user."""
        ...

    async def read_to(self, end: int) -> None:
        """Learn all records before an offset."""
        ...


class PartitionLog:
    """What is known of a partition's log so far, read on when more is needed."""

    def __init__(
        self, topic: TopicReading, history: PartitionHistory, start: int, progress: Progress
    ) -> None:
        self._topic = topic
        self.history = history
        self._start = self._position = start
        self._progress = progress

    async def read_to(self, end: int) -> None:
        """Read up to an offset, unless that is done.

        Raises:
            TruncatedLogError: The log no longer holds what is to be read.
        """
        if end <= self._position:
            return
        number = self.history.partition
        async for records in self._topic.records(number, self._position, end):
            self.history.add(records)
            done = records[-1].offset + 1 - self._start
            self._progress(f"partition {number}: records read", done, end - self._start)
        self._position = end


class FileLog:
    """A table of events that is the whole history of its users."""

    def __init__(self, history: PartitionHistory) -> None:
        self.history = history

    async def read_to(self, end: int) -> None:
        """Do nothing: a file has no offsets, and holds all."""
