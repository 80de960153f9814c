"""What becomes of a worker whose disk fails: files damaged or cut short, no room left."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from worker_process import Sender, WorkerProcess, get_json, wait_until

from interest_center.settings import Settings, environment_of

pytestmark = pytest.mark.kafka

N_EVENTS = 3_000
MOUNT_BYTES = 24 << 20
IN_NAMESPACE = ("unshare", "--map-root-user", "--mount")


def can_mount() -> bool:
    """Tell whether this system lets a process mount a file system that only it sees."""
    there = shutil.which(IN_NAMESPACE[0]) is not None
    return there and subprocess.run([*IN_NAMESPACE, "true"], check=False).returncode == 0


def copies(settings: Settings) -> list[Path]:
    """Return the copies in use, one a partition."""
    places = sorted(settings.states.glob("partition-*"))
    return [place / (place / "current").read_text() for place in places]


def fill(sender: Sender, start, **settings: object) -> None:
    """Leave copies behind whose rows lie in table files: what a log holds goes there in a start."""
    sender.send(N_EVENTS, n_users=600)
    for _ in range(2):
        worker = start(**settings).wait_ready()
        assert worker.stop() == 0, worker.output()


def flip(file: Path, at: float) -> None:
    """Change a byte at a share of a file."""
    content = bytearray(file.read_bytes())
    content[int(at * len(content))] ^= 0xFF
    file.write_bytes(content)


def damaged(worker: WorkerProcess) -> int:
    """Return how many copies the worker has found damaged."""
    return worker.output().count("copy_damaged")


@pytest.mark.parametrize("snapshots", [True, False])
def test_a_copy_that_cannot_be_opened_is_replaced(
    worker_settings: Settings, sender: Sender, start, snapshots: bool
) -> None:
    off = {} if snapshots else {"snapshot_url": "off"}
    fill(sender, start, **off)
    for copy in copies(worker_settings)[:2]:
        for manifest in copy.glob("MANIFEST-*"):
            os.truncate(manifest, manifest.stat().st_size // 2)
    worker = start(**off).wait_ready()
    assert damaged(worker) == 2, worker.output()
    assert worker.output().count("snapshot_restored") == (2 if snapshots else 0)
    assert len(list(worker_settings.states.glob("partition-*/set-aside-*"))) == 2
    sender.check(worker.url)
    assert worker.counters()["applied"] == N_EVENTS


@pytest.mark.parametrize("met_by", ["read", "apply"])
def test_damage_that_is_met_later_is_no_wrong_answer(
    worker_settings: Settings, sender: Sender, start, met_by: str
) -> None:
    fill(sender, start)
    tables = [max(copy.glob("*.sst"), key=lambda f: f.stat().st_size)
              for copy in copies(worker_settings)]  # fmt: skip
    for table in tables:
        flip(table, 0.4)
    worker = start().wait_ready()
    assert damaged(worker) == 0, "nothing has looked at the rows yet"
    if met_by == "apply":
        sender.send(200)
    for user in list(sender.hashes):
        url = f"{worker.url}/v1/users/{user}/interest"
        wait_until(lambda url=url: get_json(url)[0] == 200, f"an answer for {user}")
    assert damaged(worker) > 0, worker.output()
    worker.wait_level()
    sender.check(worker.url)
    assert worker.counters()["applied"] == sender.n_sent


@pytest.fixture
def full_disk(worker_settings: Settings, tmp_path: Path) -> Iterator["FullDisk"]:
    disk = FullDisk(worker_settings, tmp_path)
    yield disk
    disk.end()


class FullDisk:
    """A worker whose states lie on a small file system of their own (in a mount namespace).

    Args:
        settings: Of the worker.
        place: For files.
    """

    def __init__(self, settings: Settings, place: Path) -> None:
        settings.states.mkdir(parents=True)
        self.log, self._ballast = place / "disk.log", settings.states / "ballast"
        self._go = place / "go"
        run = f"{sys.executable} -m interest_center.cli worker"
        script = (
            f"mount -t tmpfs -o size={MOUNT_BYTES} tmpfs {settings.states} && "
            f"head -c {MOUNT_BYTES - (3 << 20)} /dev/zero > {self._ballast}; "
            f"{run}; echo status $?; until [ -e {self._go} ]; do sleep 0.1; done; "
            f"rm {self._ballast}; exec {run}"
        )
        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(
                [*IN_NAMESPACE, "sh", "-c", script],
                env=environment_of(settings),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        """Return what the worker has printed."""
        return self.log.read_text(errors="replace")

    def make_room(self) -> None:
        """Remove what fills the disk, and start the worker again."""
        self._go.touch()

    def end(self) -> None:
        """End everything."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.mark.skipif(not can_mount(), reason="needs mount namespaces (unshare of util-linux)")
def test_a_full_disk_stops_the_worker_and_loses_nothing(
    worker_settings: Settings, sender: Sender, full_disk: FullDisk
) -> None:
    sender.send(60_000, n_users=2_000)
    wait_until(lambda: "status " in full_disk.output(), "the worker stops", 120)
    output = full_disk.output()
    assert "status 2" in output, output
    assert "No space left on device" in output
    assert "Traceback" not in output
    full_disk.make_room()
    url = worker_settings.advertised_url
    wait_until(lambda: get_json(f"{url}/health/ready")[0] == 200, "ready again", 120)
    time.sleep(1.2)
    partitions = get_json(f"{url}/v1/partitions")[1]["partitions"]
    assert sum(one["counters"]["applied"] for one in partitions) == 60_000
