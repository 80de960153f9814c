"""Kills a worker in the middle of its work and tells what the next one had to replay."""

import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException

from prove.reading import UnexpectedAnswerError, positions
from prove.system import Service, SystemFailedError, wait_until

_JOINED = re.compile(r"partition_joined\s+(.*)")
_FIELD = re.compile(r"(\w+)=(\d+)")

#: Short enough to see how far a worker came that will kill itself.
LOOK_SECONDS = 0.02


@dataclass
class Killed:
    """One kill: how far the worker was, and where the next one began.

    Attributes:
        point: The fault point with its number, empty for a kill at random.
        reached: Next offset of each partition just before the kill.
        restarted: Next offset of each partition at which the next worker began.
    """

    point: str
    reached: dict[int, int] = field(default_factory=dict)
    restarted: dict[int, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Return the kind of the kill."""
        return self.point.partition(":")[0] or "at random"

    @property
    def replayed(self) -> int:
        """Offsets that were applied before the kill and had to be applied again."""
        ways = (self.reached[n] - self.restarted.get(n, self.reached[n]) for n in self.reached)
        return sum(max(0, way) for way in ways)


def joined_at(worker: Service, n_partitions: int, seconds: float = 120.0) -> dict[int, int]:
    """Wait until a worker has joined the log of all partitions; return where it began in each."""

    def probe() -> dict[int, int] | None:
        if not worker.alive:
            raise SystemFailedError(f"{worker.name} ended by itself: {worker.tail()}")
        found: dict[int, int] = {}
        for line in _JOINED.findall(worker.said()):
            said = {name: int(value) for name, value in _FIELD.findall(line)}
            found.setdefault(said["partition"], said["position"])
        return found if len(found) == n_partitions else None

    return wait_until("all partitions joined", probe, seconds, pause=0.02)


def kill_after(worker: Service, seconds: float) -> dict[int, int]:
    """Let the worker run, ask how far it is and kill it; return the positions."""
    time.sleep(seconds)
    reached = positions(worker.url)
    worker.kill_9()
    return reached


def watch_until_killed(worker: Service, seconds: float) -> dict[int, int]:
    """Return the last positions told by a worker that kills itself at a fault point.

    Raises:
        SystemFailedError: It did not, or ended in another way than by SIGKILL.
    """
    reached: dict[int, int] = {}
    deadline = time.monotonic() + seconds
    while worker.alive and time.monotonic() < deadline:
        # It may die while it answers.
        with suppress(OSError, HTTPException, UnexpectedAnswerError, ValueError):
            reached = positions(worker.url) or reached
        time.sleep(LOOK_SECONDS)
    if worker.wait(1.0) != -9:
        raise SystemFailedError(f"{worker.name} was to kill itself: {worker.tail()}")
    return reached
