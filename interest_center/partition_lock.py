"""The one lock of a partition: a scan slice, a checkpoint and a read exclude each other."""

import threading
from types import TracebackType


class PartitionLock:
    """A lock that a loop which takes it again at once cannot keep from others.

    Whoever waits holds the turnstile, so the releasing loop queues up behind it.
    """

    def __init__(self) -> None:
        self._turnstile = threading.Lock()
        self._lock = threading.Lock()

    @property
    def is_taken(self) -> bool:
        """Whether who takes it now would wait; a moment later it may be otherwise."""
        return self._lock.locked()

    def __enter__(self) -> None:
        with self._turnstile:
            self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
