"""Figures of a training as an event file, for TensorBoard.

Written by the pieces of tensorboardX that its ``SummaryWriter`` hands events to by a queue and a
thread: flushing that one does not wait for the queue, so a kill would lose what was flushed.
"""

import time
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from models.bundle_files import writing

#: So that who watches a training sees it move.
_SECONDS_BETWEEN_FLUSHES = 10.0


class TrainingLog:
    """An event file that goes on where an earlier one ended.

    Args:
        directory: Where; made when it does not exist.
        next_step: What earlier files of the directory say of this step and later ones is no longer
            shown.
    """

    def __init__(self, directory: Path, next_step: int) -> None:
        # Its own names tell seconds only: a second file of the same second would replace the first.
        suffix = f".{time.time_ns()}"
        with writing(directory):
            self._writer = EventsWriter(str(directory / "events"), suffix)
        self._flushed_at = time.monotonic()
        started = SessionLog(status=SessionLog.START)
        self._writer.write_event(Event(wall_time=time.time(), step=next_step, session_log=started))

    def add(self, name: str, value: float, step: int) -> None:
        """Add a figure of a step."""
        event = Event(wall_time=time.time(), step=step, summary=scalar(name, value))
        self._writer.write_event(event)
        if time.monotonic() - self._flushed_at > _SECONDS_BETWEEN_FLUSHES:
            self.flush()

    def flush(self) -> None:
        """Hand all figures to the operating system: a kill of the process loses none of them."""
        self._writer.flush()
        self._flushed_at = time.monotonic()

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()
