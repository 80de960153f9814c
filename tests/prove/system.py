"""Starts and stops the real system as child processes, and touches nothing that it did not start.

Every child runs in a session of its own, so that a Ctrl-C reaches this command only; leaving the
``with`` block stops whatever is left, by the process ids noted here.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from prove.rows import NotShownError
from streams.ports import choose_ports

T = TypeVar("T")

UIC = str(Path(sys.executable).with_name("uic"))
START_SECONDS = 120.0
POLL_SECONDS = 0.05


class SystemFailedError(Exception):
    """A process of the system did not do what it had to."""


def free_port() -> int:
    """Return a TCP port that nobody listens on right now."""
    return choose_ports(0)[0]


def wait_until(
    what: str, probe: Callable[[], T | None], seconds: float = START_SECONDS, pause: float = 0.1
) -> T:
    """Call ``probe`` until it returns something true; its connection errors count as "not yet".

    Raises:
        SystemFailedError: It took longer than ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = probe()
        except OSError:
            found = None
        if found:
            return found
        if time.monotonic() > deadline:
            raise SystemFailedError(f"after {seconds:.0f} s still waiting for: {what}")
        time.sleep(pause)


class Process:
    """One child process with its log file."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.started_at = time.monotonic()
        self.log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self.child = subprocess.Popen(
                argv,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.child.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself."""
        if self.alive:
            self.child.send_signal(number)

    def kill_9(self) -> None:
        """Kill it in the middle of whatever it does."""
        self.signal(signal.SIGKILL)
        self.child.wait()

    def pause(self) -> None:
        """Stop it from running, with all its connections open."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again."""
        self.signal(signal.SIGCONT)

    def stop(self, seconds: float = 30.0) -> int:
        """Ask it to end and return its exit status; kill its own session when it does not."""
        if self.alive:
            self.resume()
            self.signal(signal.SIGTERM)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(self.child.pid, signal.SIGKILL)
        return self.child.wait()

    def wait(self, seconds: float) -> int:
        """Wait for its end by itself and return its exit status (-9: killed)."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise SystemFailedError(f"{self.name} did not end in {seconds:.0f} s") from None

    def said(self) -> str:
        """Return what this process has written to its log; an earlier one's lines are left out."""
        with self.log.open("rb") as file:
            file.seek(self.log_start)
            return file.read().decode(errors="replace")

    def tail(self, n_chars: int = 1_500) -> str:
        """Return the end of its log."""
        return self.said()[-n_chars:]


class Service(Process):
    """A child process that answers HTTP."""

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        super().__init__(name, argv, env, log)
        self.url = ""

    def wait_live(self, seconds: float = START_SECONDS) -> None:
        """Wait until it answers at all.

        Raises:
            SystemFailedError: It ended, or does not answer in time.
        """
        self._wait_for("/health/live", seconds)

    def wait_ready(self, seconds: float = START_SECONDS) -> float:
        """Wait until ``/health/ready`` says 200 and return the seconds since its start.

        Raises:
            SystemFailedError: It ended, or is not ready in time; the end of its log is told.
        """
        self._wait_for("/health/ready", seconds)
        return time.monotonic() - self.started_at

    def _wait_for(self, path: str, seconds: float) -> None:
        from prove.reading import status_of

        def probe() -> bool:
            if not self.alive:
                raise SystemFailedError(f"{self.name} ended with {self.child.returncode}")
            return status_of(self.url + path) == 200

        try:
            wait_until(f"{self.name}: {path}", probe, seconds, POLL_SECONDS)
        except SystemFailedError as error:
            raise SystemFailedError(f"{error}; end of its log: {self.tail()}") from None


class System:
    """A broker, topics, workers and rankers in one directory, on ports of their own.

    Args:
        home: The directory; made when missing.
        settings: Of everything, without the prefix of their variables.

    Attributes:
        code: Tree whose code everything runs, None for ours.
    """

    def __init__(self, home: Path, **settings: object) -> None:
        self.home = home
        self.code: Path | None = None
        self.home.mkdir(parents=True, exist_ok=True)
        self.logs = home / "proof-logs"
        self.logs.mkdir(exist_ok=True)
        self.settings = {f"UIC_{name.upper()}": str(value) for name, value in settings.items()}
        self.processes: list[Process] = []
        self.broker_runs = False
        self.ports: dict[str, int] = {}

    def __enter__(self) -> "System":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in reversed(self.processes):
            process.stop()
        if self.broker_runs:
            self.run("broker", "stop", check=False)

    def environment(self, **settings: object) -> dict[str, str]:
        """Return the environment of a child: ours without its UIC_ settings, then these."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("UIC_")}
        # Jars fetched once are good for every broker.
        kept = {k: v for k, v in os.environ.items() if k == "UIC_CACHE_DIR"}
        own = {f"UIC_{name.upper()}": str(value) for name, value in settings.items()}
        code = {} if self.code is None else {"PYTHONPATH": str(self.code)}
        ours = {**code, "UIC_HOME": str(self.home), **self.settings}
        return {**inherited, **kept, **ours, **own}

    def run(
        self, *arguments: str, check: bool = True, seconds: float = 900.0, **settings: object
    ) -> subprocess.CompletedProcess[str]:
        """Run one ``uic`` command to its end.

        Raises:
            SystemFailedError: It ended with another status than 0, unless ``check`` is off.
        """
        done = subprocess.run(
            [UIC, *arguments],
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode != 0:
            said = (done.stderr or done.stdout)[-1_500:]
            raise SystemFailedError(f"uic {' '.join(arguments)} ended {done.returncode}: {said}")
        return done

    def spawn(self, name: str, *arguments: str, **settings: object) -> Process:
        """Start one ``uic`` command and keep it until the block ends."""
        log = self.logs / f"{name}.log"
        process = Process(name, [UIC, *arguments], self.environment(**settings), log)
        self.processes.append(process)
        return process

    def start_broker(self) -> None:
        """Start an Apache Kafka of its own and make the topics."""
        self.broker_runs = True
        port = free_port()
        self.run("broker", "start", "--port", str(port))
        self.run("topics", "create")

    @property
    def bootstrap(self) -> str:
        """Return where the broker listens."""
        written = json.loads((self.home / "broker" / "broker.json").read_text())
        return str(written["bootstrap_servers"])

    @property
    def broker_pid(self) -> int:
        """Return the process of the broker."""
        return int(json.loads((self.home / "broker" / "broker.json").read_text())["pid"])

    def start_worker(self, name: str = "worker", **settings: object) -> Service:
        """Start an interest worker with a state directory and a static member id by its name."""
        own: dict[str, object] = {
            "state_dir": self.home / f"state-{name}",
            "instance_id": name,
            "worker_port": self._port_of(name),
            **settings,
        }
        return self._serve(name, ["worker"], own, "worker_port")

    def start_ranker(self, name: str = "ranker", *arguments: str, **settings: object) -> Service:
        """Start a ranking worker."""
        own: dict[str, object] = {"ranker_port": self._port_of(name), **settings}
        return self._serve(name, ["ranker", *arguments], own, "ranker_port")

    def _port_of(self, name: str) -> int:
        """Return the port of a service; it keeps it when it is started again."""
        return self.ports.setdefault(name, free_port())

    def _serve(self, name: str, command: list[str], own: dict[str, Any], port: str) -> Service:
        log = self.logs / f"{name}.log"
        service = Service(name, [UIC, *command], self.environment(**own), log)
        service.url = f"http://127.0.0.1:{own[port]}"
        self.processes.append(service)
        return service


def need_port(port: int) -> None:
    """Make sure that a fixed port is free.

    Raises:
        NotShownError: Something else listens there.
    """
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise NotShownError(f"port {port} is in use; stop what listens there")
