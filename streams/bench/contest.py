"""Our workers and the peers over the same events, one after the other on a broker of their own."""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from interest_center.core.errors import ConfigurationError
from interest_center.settings import Settings, environment_of, load_settings
from streams.bench.loading import load_topic
from streams.bench.measuring import Measured, NotMeasuredError, cpu_seconds, measure
from streams.bench.workload import Workload
from streams.broker_process import Broker
from streams.ports import HOST, choose_ports
from streams.processes import CLI, Child, Processes, wait_until_ready
from streams.topics import create_topics

Peer = Literal["faust", "quix"]
_PEER_SECONDS = 1_800.0

Progress = Callable[[int], None]


def check_peers(peers: Iterable[Peer], load: Workload) -> None:
    """Make sure that peers can run, before anything is measured.

    Raises:
        ConfigurationError: A package is not installed, or the peers do not know the work.
    """
    for name in peers:
        if load.work != "toy":
            raise ConfigurationError(
                f"{name} knows the toy only", hint="give --work toy, or leave the peer out"
            )
        if name == "quix" and importlib.util.find_spec("quixstreams") is None:
            raise ConfigurationError(
                "the package quixstreams is not installed here",
                hint="`make bench-engine` measures in an environment that has it",
            )


class Contest:
    """A broker with the events of one workload.

    Args:
        load: The events.
        home: Directory for everything that is written; made, and removed by ``close``.
        cache_dir: Where Kafka's jars are kept.
    """

    def __init__(self, load: Workload, home: Path, cache_dir: Path) -> None:
        self._load = load
        self.home = home.absolute()
        self._broker = Broker(self.home / "broker", cache_dir)
        self._n_runs = 0
        self._settings = load_settings()

    def open(self) -> None:
        """Start the broker and make the topics, which are empty."""
        address = self._broker.start(port=0)
        self._settings = load_settings(
            home=self.home,
            kafka_bootstrap_servers=address.bootstrap_servers,
            events_topic="uic-bench-events",
            dead_letters_topic="uic-bench-dead-letters",
            partitions=self._load.n_partitions,
        )
        create_topics(self._settings)
        kept = {"bundle": None, "state_config": None, **self._load.prepare(self.home / "model")}
        self._settings = self._settings.model_copy(update=kept)

    def fill(self, progress: Progress) -> None:
        """Push all events.

        Args:
            progress: Told how many more are in the topic.
        """
        load_topic(self._settings, self._load, progress)

    def close(self) -> None:
        """Stop the broker and remove what was written."""
        self._broker.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def ours(self, n_workers: int, progress: Progress) -> Measured:
        """Run our workers over all events, from nothing.

        Args:
            n_workers: They share the partitions.
            progress: Told how many events are durable.
        """
        with self.workers(n_workers) as children:
            return measure(children, self.broker_pid, self._load.n_events, progress)

    @contextmanager
    def workers(self, n_workers: int) -> Iterator[dict[str, Child]]:
        """Start workers without states; yield them by the address of their HTTP."""
        place = self._next_place()
        program = "streams.bench.toy_worker" if self._load.work == "toy" else CLI
        children = dict[str, Child]()
        try:
            with ExitStack() as stack:
                for port in choose_ports(*([0] * n_workers)):
                    settings = self._of_run(place, port)
                    processes = Processes(environment_of(settings), place / f"logs-{port}")
                    child = stack.enter_context(processes).spawn("worker", program=program)
                    children[settings.advertised_url] = child
                for url, child in children.items():
                    wait_until_ready(child, f"{url}/health/live")
                yield children
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def peer(self, name: Peer) -> Measured:
        """Run a peer over all events, from nothing.

        Raises:
            NotMeasuredError: It did not come to its end.
        """
        place, servers = self._next_place(), self._settings.bootstrap_servers
        sizes = (str(self._load.n_partitions), str(self._load.n_events))
        argv = [sys.executable, "-m", f"streams.bench.peer_{name}", servers]
        argv += [self._settings.events_topic, *sizes, str(place)]
        broker = cpu_seconds(self.broker_pid)
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, check=False, timeout=_PEER_SECONDS
            )
        finally:
            shutil.rmtree(place, ignore_errors=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith('{"events"')]
        if not lines:
            raise NotMeasuredError(f"the peer {name} did not end:\n{done.stderr[-2_000:]}")
        told = json.loads(lines[-1])
        cpu = {"workers": told["cpu_seconds"], "broker": cpu_seconds(self.broker_pid) - broker}
        return Measured(told["events"], told["seconds"], cpu)

    @property
    def settings(self) -> Settings:
        """Where Kafka is, and the topics."""
        return self._settings

    @property
    def broker_pid(self) -> int:
        """Process of the broker.

        Raises:
            NotMeasuredError: It has ended.
        """
        address = self._broker.running()
        if address is None:
            raise NotMeasuredError(f"the broker has ended, see {self._broker.log}")
        return address.pid

    def _next_place(self) -> Path:
        self._n_runs += 1
        place = self.home / f"run-{self._n_runs}"
        place.mkdir(parents=True)
        return place

    def _of_run(self, place: Path, port: int) -> Settings:
        """Return the settings of one worker of this run."""
        return self._settings.model_copy(
            update={
                "group": f"uic-bench-{self._n_runs}",
                "worker_port": port,
                "worker_host": HOST,
                "worker_advertised_url": f"http://{HOST}:{port}",
                "state_dir": place / f"state-{port}",
                "snapshot_url": str(place / "snapshots"),
            }
        )
