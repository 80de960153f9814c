"""A single-node Apache Kafka (KRaft) as a process of this machine: start, stop, kill, wipe."""

import base64
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from kafka.errors import KafkaError

from interest_center.settings import BROKER_FILE
from streams.broker_checks import AnotherBrokerError, command_of, probe, reap
from streams.kafka_jars import FILES, BrokerError, Java, archive_path, fetch_jars, find_java
from streams.ports import HOST, choose_ports

DEFAULT_PORT = 9092
START_SECONDS = 60.0
STOP_SECONDS = 30.0
#: Another process may take a port between our look and the broker's own bind.
PORT_ATTEMPTS = 4
HEAP = "-Xmx1g"


class PortTakenError(BrokerError):
    """Somebody else was quicker to take the broker's port."""


@dataclass(frozen=True)
class BrokerAddress:
    """What ``broker.json`` says of a started broker."""

    bootstrap_servers: str
    port: int
    controller_port: int
    pid: int
    cluster_id: str


def new_cluster_id() -> str:
    """Return 16 random bytes as Kafka writes them; like Kafka's own, without a leading dash."""
    while True:
        drawn = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not drawn.startswith("-"):
            return drawn


class Broker:
    """The broker whose data lie in one directory.

    Args:
        directory: Data, configuration, log and pid; made when missing.
        cache_dir: Where the jars and the class archive are kept.
        report: Called with a line about the progress.
    """

    def __init__(
        self, directory: Path, cache_dir: Path, report: Callable[[str], None] = lambda line: None
    ) -> None:
        self.directory = directory.absolute()
        self.log = self.directory / "broker.log"
        self._cache_dir = cache_dir
        self._report = report
        self._data = self.directory / "data"
        self._properties = self.directory / "server.properties"
        self._new_archive = self.directory / "classes.jsa"

    def address(self) -> BrokerAddress | None:
        """Return the address of the last start, None before the first one."""
        try:
            return BrokerAddress(**json.loads((self.directory / BROKER_FILE).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def running(self) -> BrokerAddress | None:
        """Return the address when the broker runs; a reused pid does not deceive."""
        address = self.address()
        if address is None:
            return None
        reap(address.pid)
        return address if str(self._properties) in command_of(address.pid) else None

    def start(self, port: int | None = None) -> BrokerAddress:
        """Start the broker and wait until it has taken and returned a record.

        Args:
            port: Port to use; 0: any free one; None: that of the last start, else 9092. A port
                that is taken is replaced by a free one.

        Raises:
            BrokerError: Java, Maven or the jars are missing, or Kafka did not come up.
        """
        with self._alone():
            address = self.running()
            if address is not None:
                self._wait_until_ready(address)
                return address
            java, jars = find_java(), fetch_jars(self._cache_dir, self._report)
            self._report("starting Apache Kafka")
            for attempt in range(PORT_ATTEMPTS):
                address = self._start_process(java, jars, *self._ports(0 if attempt else port))
                try:
                    self._wait_until_ready(address)
                except PortTakenError:
                    continue
                return address
            raise BrokerError(
                f"Kafka found its port taken {PORT_ATTEMPTS} times", hint=f"see {self.log}"
            )

    def stop(self) -> bool:
        """Stop the broker in order; return whether it was running.

        Raises:
            BrokerError: It did not end in time.
        """
        with self._alone():
            stopped = self._end(signal.SIGTERM)
            if stopped:
                self._keep_class_archive()
            return stopped

    def kill(self) -> bool:
        """End the broker as a crash would; return whether it was running."""
        killed = self._end(signal.SIGKILL)
        self._new_archive.unlink(missing_ok=True)
        return killed

    def wipe(self) -> None:
        """Stop the broker and delete its data; the next start is a new cluster."""
        with self._alone():
            self._end(signal.SIGTERM)
            if self._data.exists():
                shutil.rmtree(self._data)
            (self.directory / BROKER_FILE).unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Exclude another start, stop or wipe of the same directory."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._report("waiting for another command that starts or stops this broker")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _ports(self, wanted: int | None) -> tuple[int, int]:
        """Return free ports for clients and controller, those of the last start when possible."""
        if wanted == 0:
            port, controller_port = choose_ports(0, 0)
            return port, controller_port
        last = self.address()
        port = wanted or (last.port if last else DEFAULT_PORT)
        kept = last.controller_port if last and last.port == port else port % 65535 + 1
        port, controller_port = choose_ports(port, kept)
        return port, controller_port

    def _start_process(
        self, java: Java, jars: Path, port: int, controller_port: int
    ) -> BrokerAddress:
        template = (FILES / "server.properties").read_text()
        self._properties.write_text(
            template.format(port=port, controller_port=controller_port, data_dir=self._data)
        )
        class_path = os.pathsep.join(str(jar) for jar in sorted(jars.glob("*.jar")))
        archive = archive_path(jars, java)
        shared = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []
        flags = [
            *("-XX:+UseSerialGC", "-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr"),
            *(f"-Dlog4j2.configurationFile={FILES / 'log4j2.xml'}", "-cp", class_path),
        ]
        cluster_id = self._format([java.command, "-XX:TieredStopAtLevel=1", *shared, *flags])
        sharing = shared or [f"-XX:ArchiveClassesAtExit={self._new_archive}"]
        pid = self._spawn(
            [java.command, HEAP, *sharing, *flags, "kafka.Kafka", str(self._properties)]
        )
        address = BrokerAddress(f"{HOST}:{port}", port, controller_port, pid, cluster_id)
        written = self.directory / (BROKER_FILE + ".new")
        written.write_text(json.dumps(asdict(address), indent=2) + "\n")
        written.rename(self.directory / BROKER_FILE)
        return address

    def _spawn(self, command: list[str]) -> int:
        """Start the process in a session of its own with a fresh log; it outlives this one."""
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawn(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(self.log), append, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )

    def _format(self, java: list[str]) -> str:
        """Prepare a new data directory; return the cluster id of the old or new one."""
        properties = self._data / "meta.properties"
        if properties.exists():
            lines = properties.read_text().splitlines()
            return next(line.split("=", 1)[1] for line in lines if line.startswith("cluster.id="))
        cluster_id = new_cluster_id()
        command = [*java, "kafka.tools.StorageTool", "format", "--cluster-id", cluster_id]
        done = subprocess.run(
            [*command, "--config", str(self._properties)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BrokerError(f"Kafka could not prepare {self._data}:\n{done.stdout}{done.stderr}")
        return cluster_id

    def _wait_until_ready(self, address: BrokerAddress) -> None:
        """Wait until a record went in and came back."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return probe(address.port, address.cluster_id)
            except (OSError, KafkaError, AnotherBrokerError) as error:
                if self.running() is None:
                    raise self._ended_early() from error
                if time.monotonic() > deadline:
                    raise BrokerError(
                        f"Kafka took no record within {START_SECONDS:g} s: {error}",
                        hint=f"see {self.log}",
                    ) from error
                time.sleep(0.05)

    def _ended_early(self) -> BrokerError:
        """Return why the process ended, by its log."""
        lines = self.log.read_text(errors="replace").splitlines()
        if any("Address already in use" in line for line in lines):
            return PortTakenError("Kafka found its port taken", hint=f"see {self.log}")
        errors = (at for at, line in enumerate(lines) if " ERROR " in line or " FATAL " in line)
        first = next(errors, max(0, len(lines) - 8))
        return BrokerError(
            "Kafka ended while starting:\n" + "\n".join(lines[first : first + 8]),
            hint=f"see {self.log}",
        )

    def _end(self, how: signal.Signals) -> bool:
        address = self.running()
        if address is None:
            return False
        os.kill(address.pid, how)
        deadline = time.monotonic() + STOP_SECONDS
        while self.running() is not None:
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"Kafka (pid {address.pid}) did not end within {STOP_SECONDS:g} s",
                    hint=f"see {self.log}; as a last resort: kill -9 {address.pid}",
                )
            time.sleep(0.02)
        return True

    def _keep_class_archive(self) -> None:
        """Share the classes that a clean stop has archived, for quicker starts."""
        if not self._new_archive.exists():
            return
        kept = archive_path(fetch_jars(self._cache_dir, self._report), find_java())
        copied = kept.with_suffix(f".{os.getpid()}")
        shutil.copy(self._new_archive, copied)
        copied.rename(kept)
        self._new_archive.unlink()
