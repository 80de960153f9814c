"""Several ranking processes behind one port, as they run."""

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ranking_worker import CANDIDATES, command
from worker_process import wait_until

from streams.ports import choose_ports

N_PROCESSES = 3
SECONDS = 60.0
REQUEST = json.dumps({"user_id": "u1", "candidates": CANDIDATES}).encode()


class Port:
    """What is asked of a port, each time over a connection of its own."""

    def __init__(self, number: int) -> None:
        self.number = number
        #: Rankings that were answered.
        self.n_ranked = 0

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.number, timeout=SECONDS)
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def rank(self) -> None:
        status, body = self.ask("POST", "/v1/rank", REQUEST)
        assert status == 200, body
        # There is no interest worker.
        assert json.loads(body)["degraded"] == "state_unavailable"
        self.n_ranked += 1

    def is_open(self) -> bool:
        try:
            return self.ask("GET", "/health/live")[0] == 200
        except OSError:
            return False

    def counted(self) -> float:
        """Return the rankings that the port says it has answered."""
        text = self.ask("GET", "/metrics")[1].decode()
        families = {one.name: one for one in text_string_to_metric_families(text)}
        assert "uic_events" not in families, "that is a metric of the interest worker"
        info = families["uic_rank_model_info"].samples
        assert [sample.value for sample in info] == [1.0]
        return sum(sample.value for sample in families["uic_rank_requests"].samples)


def children_of(pid: int) -> set[int]:
    return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def gone(pids: set[int]) -> Callable[[], bool]:
    return lambda: not any(Path(f"/proc/{pid}/stat").exists() for pid in pids)


@contextmanager
def ranker(bundle_directory: Path) -> Iterator[tuple[subprocess.Popen[str], Port]]:
    """Start some ranking processes without interest workers."""
    (nobody, number) = choose_ports(0, 0)
    port = Port(number)
    parent = command(
        "ranker", "--bundle", str(bundle_directory), "--port", str(number),
        "--processes", str(N_PROCESSES), "--worker-urls", f"http://127.0.0.1:{nobody}",
    )  # fmt: skip
    try:
        wait_until(port.is_open, "the port is open", SECONDS)
        yield parent, port
    finally:
        if parent.poll() is None:
            parent.send_signal(signal.SIGTERM)
        parent.communicate(timeout=SECONDS)


def test_a_killed_process_is_replaced_and_nothing_counted_is_lost(bundle_directory: Path) -> None:
    with ranker(bundle_directory) as (parent, port):
        children = children_of(parent.pid)
        assert len(children) == N_PROCESSES
        for _ in range(20):
            port.rank()
        assert port.counted() == port.n_ranked

        killed = min(children)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: len(children_of(parent.pid) - {killed}) == N_PROCESSES, "a new one")
        for _ in range(20):
            port.rank()
        assert port.counted() == port.n_ranked

        children = children_of(parent.pid)
        parent.send_signal(signal.SIGTERM)
        output, _ = parent.communicate(timeout=SECONDS)
    assert parent.returncode == 0, output
    assert gone(children)()
    assert "Traceback" not in output
    assert output.count("ranking_process_killed") == 1
    assert not port.is_open()


def test_without_their_parent_they_end(bundle_directory: Path) -> None:
    with ranker(bundle_directory) as (parent, port):
        children = children_of(parent.pid)
        parent.kill()
        wait_until(gone(children), "all have ended", SECONDS)
        assert not port.is_open()


def test_what_one_cannot_do_none_can(tmp_path: Path) -> None:
    began = time.monotonic()
    parent = command("ranker", "--bundle", str(tmp_path / "nowhere"), "--processes", "2")
    output, _ = parent.communicate(timeout=SECONDS)
    assert parent.returncode == 2, output
    assert "nowhere" in output
    assert "Traceback" not in output
    assert time.monotonic() - began < SECONDS


@pytest.mark.parametrize("n", ["0", "1000", "many"])
def test_a_number_of_processes_that_is_none(n: str, bundle_directory: Path) -> None:
    started = command("ranker", "--bundle", str(bundle_directory), "--processes", n)
    output, _ = started.communicate(timeout=SECONDS)
    assert started.returncode == 2, output
    assert "processes" in output.lower()
    assert "Traceback" not in output
