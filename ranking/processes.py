"""Several ranking processes behind one port: one parent that starts them and does no ranking.

The parent takes the port and hands it down; each process opens it when it is warm, and a connection
goes to whichever takes it first. Processes share nothing else: each has its models and asks the
interest workers itself. Their metrics are files in a directory of the parent (the way of
prometheus_client for several processes), so that the port shows the sum, whoever answers.

* A process that is killed is replaced; the connections that it had are lost.
* A process that ends by itself could not go on, and neither could its successor: all end, with its
  status.
* Told to end, the parent tells the others and waits. When the parent is gone they see the end of
  their standard input, and end too.
"""

import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import structlog
from prometheus_client import multiprocess

from interest_center.metrics import SHARED_DIRECTORY
from interest_center.settings import Settings, environment_of
from ranking.options import RankerOptions

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.2
#: Longer than a process waits for the requests it has.
STOP_SECONDS = 15.0
#: Between a death and the next life, so that one who dies at once does not take the machine.
REPLACE_SECONDS = 1.0


class RankingProcesses:
    """Some processes that answer at one port.

    Args:
        settings: Of each; ``ranker_processes`` says how many.
        options: Of each.
        listener: The port.
    """

    def __init__(self, settings: Settings, options: RankerOptions, listener: socket.socket) -> None:
        self._n = settings.ranker_processes
        self._arguments = options.arguments
        self._listener = listener
        self._environment = environment_of(settings.model_copy(update={"ranker_processes": 1}))
        self._processes: list[subprocess.Popen[bytes]] = []

    def run(self) -> int:
        """Run until told to end, or until one has ended by itself; returns the status to end with.

        Call it from the main thread: it takes the signals.
        """
        with tempfile.TemporaryDirectory() as shared, told_to_end() as told:
            self._environment[SHARED_DIRECTORY] = shared
            self._processes = [self._start() for _ in range(self._n)]
            status = 0
            try:
                while not told.wait(LOOK_SECONDS):
                    status = self._look(told)
                    if status:
                        break
            finally:
                self._stop()
        return status

    def _start(self) -> subprocess.Popen[bytes]:
        """Start a process; in a session of its own, so that Ctrl-C reaches it through us only."""
        descriptor = self._listener.fileno()
        command = [sys.executable, "-m", "interest_center.cli", "ranker", *self._arguments]
        return subprocess.Popen(
            [*command, "--listener", str(descriptor)],
            env=self._environment,
            stdin=subprocess.PIPE,
            pass_fds=[descriptor],
            start_new_session=True,
        )

    def _look(self, told: threading.Event) -> int:
        """Replace who was killed; returns the status of one that ended by itself, else 0."""
        for place, process in enumerate(self._processes):
            status = process.poll()
            if status is None:
                continue
            _let_go(process, self._environment[SHARED_DIRECTORY])
            if status >= 0:
                log.error("ranking_process_ended", pid=process.pid, status=status)
                return status or 1
            log.warning("ranking_process_killed", pid=process.pid, by=signal.strsignal(-status))
            if not told.wait(REPLACE_SECONDS):
                self._processes[place] = self._start()
        return 0

    def _stop(self) -> None:
        running = [process for process in self._processes if process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                log.warning("ranking_process_does_not_end", pid=process.pid)
                process.kill()
                process.wait()
            _let_go(process, self._environment[SHARED_DIRECTORY])


def _let_go(process: subprocess.Popen[bytes], shared: str) -> None:
    """Close what is left of a process that has ended; what it counted stays in the sums."""
    if process.stdin is not None:
        process.stdin.close()
    multiprocess.mark_process_dead(process.pid, shared)  # type: ignore[no-untyped-call]


@contextmanager
def told_to_end() -> Iterator[threading.Event]:
    """Take Ctrl-C and SIGTERM; the event is set by the first."""
    told = threading.Event()

    def hear(number: int, frame: FrameType | None) -> None:
        told.set()

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
