"""Faults around workers while events arrive: broker, network, clock, restarts, moves, snapshots."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from worker_process import Sender, WorkerProcess, wait_until

from interest_center.settings import Settings
from streams.broker_process import Broker
from streams.ports import choose_ports
from streams.topics import create_topics

pytestmark = pytest.mark.kafka

Start = Callable[..., WorkerProcess]
TESTS = Path(__file__).parents[1]
DAY_SECONDS = 86_400
NEW_NETWORK = ("unshare", "--map-root-user", "--net")
FOR_EVER = ("sleep", "infinity")


def applied(*workers: WorkerProcess) -> int:
    """Return the events that the owners of all partitions have applied."""
    return sum(worker.counters().get("applied", 0) for worker in workers)


def finish(sender: Sender, *workers: WorkerProcess) -> None:
    """Wait until all is applied, and compare users and counters with what was sent."""
    wait_until(lambda: applied(*workers) >= sender.n_sent, "all events applied", 90)
    sender.check(workers[0].url)
    # Whoever has just lost a partition counts nothing of it until it owns it again.
    wait_until(lambda: applied(*workers) == sender.n_sent, "as many applied as were sent")


@pytest.mark.parametrize("fault", ["killed", "restarted", "paused"])
def test_a_broker_that_is_gone_for_a_while(
    worker_settings: Settings, start: Start, tmp_path: Path, fault: str
) -> None:
    broker = Broker(tmp_path / "broker", worker_settings.cache_dir)
    bootstrap = broker.start().bootstrap_servers
    settings = worker_settings.model_copy(update={"kafka_bootstrap_servers": bootstrap})
    try:
        create_topics(settings)
        sender = Sender(settings)
        worker = start(kafka_bootstrap_servers=bootstrap).wait_ready()
        with sender.sending():
            time.sleep(2.0)
            _gone_for_a_while(broker, fault)
            n_before = sender.n_sent
            wait_until(lambda: applied(worker) > n_before, "events behind the fault", 90)
        finish(sender, worker)
        assert "Traceback" not in worker.output()
        assert worker.stop() == 0, worker.output()
    finally:
        broker.stop()


def _gone_for_a_while(broker: Broker, fault: str) -> None:
    """Let something happen to a broker, which runs again afterwards."""
    address = broker.running()
    assert address is not None
    if fault == "paused":
        os.kill(address.pid, signal.SIGSTOP)
        time.sleep(9.0)
        os.kill(address.pid, signal.SIGCONT)
    else:
        assert broker.kill() if fault == "killed" else broker.stop()
        time.sleep(2.0)
        broker.start()


class Island:
    """A network namespace that is reached by relays, until its only link is taken down.

    Args:
        place: For sockets.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._children = [subprocess.Popen([*NEW_NETWORK, *FOR_EVER])]
        self._pid = self._children[0].pid

    def open(self) -> None:
        """Wait until the namespace is there, and set its link up."""
        comm = Path(f"/proc/{self._pid}/comm")
        # When unshare has become what it runs, its users are mapped too.
        wait_until(lambda: comm.read_text().strip() == FOR_EVER[0], "a namespace")
        self.network("up")

    @property
    def inside(self) -> tuple[str, ...]:
        """Return what runs a command in the namespace."""
        return ("nsenter", f"--target={self._pid}", "--user", "--net", "--preserve-credentials")

    def network(self, state: str) -> None:
        """Set the link of the namespace ``up`` or ``down``."""
        subprocess.run([*self.inside, "ip", "link", "set", "lo", state], check=True)

    def let_in(self, port: int) -> None:
        """Make a port of the namespace reachable at the same port outside."""
        self._relay("in", (), self.inside, port)

    def let_out(self, port: int) -> None:
        """Make a port outside reachable at the same port of the namespace."""
        self._relay("out", self.inside, (), port)

    def _relay(self, name: str, near: tuple[str, ...], far: tuple[str, ...], port: int) -> None:
        command, socket = (sys.executable, str(TESTS / "relay.py")), self._place / name
        here, there = f"tcp:{port}", f"unix:{socket}"
        self._children.append(subprocess.Popen([*far, *command, there, here]))
        wait_until(socket.exists, "a relay")
        self._children.append(subprocess.Popen([*near, *command, here, there]))

    def end(self) -> None:
        """End everything that was started for it."""
        for child in reversed(self._children):
            child.kill()
            child.wait()


@pytest.fixture
def island(tmp_path: Path) -> Iterator[Island]:
    made = Island(tmp_path)
    try:
        made.open()
        yield made
    finally:
        made.end()


def has_namespaces() -> bool:
    """Tell whether this system lets a process have a network of its own."""
    there = all(shutil.which(name) for name in ("unshare", "nsenter", "ip"))
    return there and subprocess.run([*NEW_NETWORK, "true"], check=False).returncode == 0


@pytest.mark.skipif(not has_namespaces(), reason="needs network namespaces (util-linux, iproute2)")
def test_a_worker_whose_network_is_cut(
    worker_settings: Settings, sender: Sender, start: Start, island: Island, tmp_path: Path
) -> None:
    (port,) = choose_ports(0)
    island.let_out(int(worker_settings.bootstrap_servers.rpartition(":")[2]))
    island.let_in(port)
    own = {"worker_port": port, "state_dir": tmp_path / "island-states"}
    settings = worker_settings.model_copy(update=own)
    free = start().wait_ready()
    with WorkerProcess(settings, tmp_path / "island.log", inside=island.inside) as cut:
        with sender.sending():
            wait_until(lambda: len(cut.partitions()) == 2, "the partitions are shared")
            lost = {one["partition"] for one in cut.partitions()}
            island.network("down")
            assert cut.get("/health/live")[0] == 0
            wait_until(lambda: len(free.partitions()) == 4, "the other one has taken over")
            wait_until(lambda: all(one["ready"] for one in free.partitions()), "and answers")
            time.sleep(2.0)
            least = {one["partition"]: one["position"] for one in free.partitions()}
            island.network("up")
            answers = list(_answers_until_shared(cut, sorted(sender.hashes)))
        assert {status for status, _ in answers} <= {0, 200, 503}
        told = [fresh for status, fresh in answers if status == 200 and fresh["partition"] in lost]
        assert told, "no answer for a partition that it had lost"
        assert all(fresh["watermark"] >= least[fresh["partition"]] for fresh in told)
        finish(sender, free, cut)
        assert "Traceback" not in cut.output()


def _answers_until_shared(
    worker: WorkerProcess, users: list[str]
) -> Iterator[tuple[int, dict[str, int]]]:
    """Ask a worker for users until it owns its two partitions again and answers for them."""
    deadline = time.monotonic() + 90
    n_shared = 0
    while n_shared < 2:
        assert time.monotonic() < deadline, worker.output()
        n_shared = sum(one["ready"] for one in worker.partitions())
        for user in users[:20]:
            status, answer = worker.get(f"/v1/users/{user}/interest")
            yield status, answer["freshness"] if status == 200 else {}


def test_clocks_that_jump_change_nothing(
    worker_settings: Settings, sender: Sender, start: Start, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0")
    moved = {"PYTHONPATH": str(TESTS / "moved_clock"), "TEST_CLOCK_FILE": str(clock)}
    worker = start(environment=moved, snapshot_interval_seconds=2.0).wait_ready()
    with sender.sending():
        for seconds in (2 * DAY_SECONDS, -3 * DAY_SECONDS, 0):
            written = clock.with_suffix(".new")
            written.write_text(str(seconds))
            written.replace(clock)
            n_before = sender.n_sent
            wait_until(lambda n=n_before: applied(worker) > n, "events behind the jump")
            assert worker.get("/health/ready")[0] == 200
            time.sleep(2.5)
    finish(sender, worker)
    worker.kill()
    shutil.rmtree(worker_settings.states)
    worker = start(environment=moved).wait_ready()
    assert "snapshot_restored" in worker.output()
    finish(sender, worker)


def test_what_is_delivered_twice_counts_once(sender: Sender, start: Start) -> None:
    with sender.producer() as producer:
        for number in range(500):
            user = f"user-{number % 10}"
            event = sender.event(user)
            for _ in range(2):
                producer.send(sender.settings.events_topic, key=user.encode(), value=event)
    worker = start().wait_ready()
    worker.kill()
    worker = start().wait_ready()
    finish(sender, worker)
    assert worker.counters()["duplicate"] == 500


def test_partitions_that_move_to_and_fro(sender: Sender, start_named: Start) -> None:
    first, second = start_named("first").wait_ready(), start_named("second")
    with sender.sending():
        for _ in range(3):
            wait_until(lambda one=second: len(one.partitions()) == 2, "two partitions each")
            time.sleep(1.0)
            assert second.stop() == 0, second.output()
            wait_until(lambda: len(first.partitions()) == 4, "the first one owns all")
            second = start_named("second")
        wait_until(lambda one=second: len(one.partitions()) == 2, "two partitions each")
    finish(sender, first, second)


def test_a_rolling_restart(sender: Sender, start_named: Start) -> None:
    workers = {name: start_named(name).wait_ready() for name in ("first", "second")}
    with sender.sending():
        for name in ("first", "second", "first", "second"):
            assert workers[name].stop() == 0, workers[name].output()
            workers[name] = start_named(name)
            wait_until(lambda one=workers[name]: len(one.partitions()) == 2, "its share again")
    finish(sender, *workers.values())


def files_of(manifest: Path) -> set[str]:
    """Return the hashes of the files that a snapshot consists of."""
    return set(json.loads(manifest.read_bytes())["files"].values())


@pytest.mark.parametrize("damage", ["half uploaded", "corrupted", "missing"])
def test_a_snapshot_that_is_not_whole_is_no_start(
    worker_settings: Settings, sender: Sender, start: Start, damage: str
) -> None:
    for _ in range(2):
        sender.send(1000)
        assert start().wait_ready().stop() == 0
    root = Path(worker_settings.snapshots or "")
    manifests = list(root.rglob("*.json"))
    named = Counter(name for manifest in manifests for name in files_of(manifest))
    for place in {manifest.parent for manifest in manifests}:
        newest = max(place.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        own = [name for name in files_of(newest) if named[name] == 1]
        assert own, "a file that no other snapshot needs"
        if damage == "half uploaded":
            os.truncate(newest, newest.stat().st_size // 2)
        for [file] in (list(root.rglob(name)) for name in own):
            if damage == "missing":
                file.unlink()
            elif damage == "corrupted":
                os.truncate(file, file.stat().st_size // 2)
    shutil.rmtree(worker_settings.states)
    worker = start().wait_ready()
    assert worker.output().count("snapshot_restored") == 4, worker.output()
    sender.check(worker.url)
    assert worker.counters()["applied"] == sender.n_sent
