"""Child processes of the demo: our own commands, with log files, stopped in the reverse order."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from interest_center.core.errors import InterestCenterError

CLI = "interest_center.cli"
STOP_SECONDS = 30.0
LOG_LINES_SHOWN = 15


class ProcessFailedError(InterestCenterError):
    """A command that the demo needs ended with an error or did not become ready."""


@dataclass(frozen=True)
class Child:
    """A running command and where it writes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Processes:
    """Starts ``uic`` commands and ends every one of them, whatever happens in between.

    Args:
        environment: Environment of the children.
        log_dir: Directory of their log files, made when missing.
    """

    def __init__(self, environment: dict[str, str], log_dir: Path) -> None:
        self._environment = environment
        self._log_dir = log_dir
        self._children: list[Child] = []
        log_dir.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def run(self, *arguments: str, quiet: bool = False) -> None:
        """Run a command to its end; its output is the user's, or a log file when ``quiet``.

        Raises:
            ProcessFailedError: It ended with another status than 0.
        """
        log = self._log_dir / f"{arguments[0]}.log"
        with log.open("ab") as sink:
            ended = subprocess.run(
                command_line(arguments),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=sink if quiet else None,
                stderr=subprocess.STDOUT if quiet else None,
                check=False,
            )
        if ended.returncode != 0:
            raise ProcessFailedError(
                f"`uic {' '.join(arguments)}` ended with status {ended.returncode}"
                + (f":\n{last_lines(log)}" if quiet else ""),
            )

    def start(self, *arguments: str, ready_url: str, timeout_seconds: float = 120.0) -> Child:
        """Start a service and wait until its readiness address answers 200.

        Raises:
            ProcessFailedError: It ended, or was not ready in time.
        """
        child = self.spawn(*arguments)
        wait_until_ready(child, ready_url, timeout_seconds)
        return child

    def spawn(self, *arguments: str, program: str = CLI) -> Child:
        """Start a service.

        It runs in a session of its own, so that Ctrl-C reaches it through ``stop`` only.

        Args:
            arguments: Name of the service, and its options.
            program: Module to run; ``uic`` by default.
        """
        log = self._log_dir / f"{arguments[0]}.log"
        with log.open("ab") as sink:
            process = subprocess.Popen(
                command_line(arguments, program),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = Child(arguments[0], process, log)
        self._children.append(child)
        return child

    def stop(self) -> None:
        """End every child, last started first: SIGTERM, and SIGKILL when it does not listen."""
        while self._children:
            child = self._children.pop()
            if child.process.poll() is not None:
                continue
            child.process.send_signal(signal.SIGTERM)
            try:
                child.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(child.process.pid, signal.SIGKILL)
                child.process.wait()


def command_line(arguments: tuple[str, ...], program: str = CLI) -> list[str]:
    """Return the command line of a command, one of ``uic`` by default, in this environment."""
    return [sys.executable, "-m", program, *arguments]


def wait_until_ready(child: Child, ready_url: str, timeout_seconds: float = 120.0) -> None:
    """Wait until a service's readiness address answers 200.

    Raises:
        ProcessFailedError: It ended, or was not ready in time.
    """
    deadline = time.monotonic() + timeout_seconds
    while not answers(ready_url):
        if child.process.poll() is not None:
            raise ProcessFailedError(
                f"`uic {child.name}` ended with status {child.process.returncode}:\n"
                f"{last_lines(child.log)}"
            )
        if time.monotonic() > deadline:
            raise ProcessFailedError(
                f"`uic {child.name}` was not ready after {timeout_seconds:g} s:\n"
                f"{last_lines(child.log)}"
            )
        time.sleep(0.1)


def answers(url: str) -> bool:
    """Tell whether a readiness address answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def last_lines(log: Path) -> str:
    """Return the end of a log file, for an error message."""
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-LOG_LINES_SHOWN:]) or f"nothing in {log}"
