"""Warm standbys, and members that come back before anyone has missed them, on a real Kafka."""

import re
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from worker_process import Sender, WorkerProcess, wait_until

from interest_center.settings import Settings

pytestmark = pytest.mark.kafka

Pair = Callable[..., WorkerProcess]


def standbys(worker: WorkerProcess) -> dict[int, int]:
    """Return how far a worker's standbys are, by partition."""
    _, answer = worker.get("/v1/partitions")
    return {p["partition"]: p["position"] for p in answer["partitions"] if p["phase"] == "standby"}


def positions(worker: WorkerProcess) -> dict[int, int]:
    """Return how far a worker's own partitions are."""
    return {p["partition"]: p["position"] for p in worker.partitions()}


def test_a_standby_takes_over_what_it_has(sender: Sender, start_named: Pair) -> None:
    options: dict[str, Any] = {"standby_replicas": 1, "snapshot_url": "off"}
    first = start_named("first", **options).wait_ready()
    second = start_named("second", **options)
    wait_until(lambda: len(second.partitions()) == 2, "the second worker owns its share")
    sender.send(20_000)
    wait_until(
        lambda: standbys(second) == positions(first) and standbys(first) == positions(second),
        "the standbys are level with the owners",
    )
    assert sum(standbys(second).values()) > 0
    moved = set(standbys(second))

    with sender.sending():
        wait_until(lambda: sender.n_sent > 20_400, "events on their way")
        first.kill()
        wait_until(lambda: len(positions(second)) == 4, "the second worker owns everything")
    second.wait_level()
    sender.check(second.url)
    assert second.counters()["applied"] == sender.n_sent
    # Not from their begin: only what came while nobody owned them, and a commit or two before.
    took_over = ready_lines(second)
    for number in moved:
        assert 0 < took_over[number]["replayed"] < took_over[number]["position"] / 2, took_over


def ready_lines(worker: WorkerProcess) -> dict[int, dict[str, int]]:
    """Return what the last ``partition_ready`` line of each partition says."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", worker.output())
    found = {}
    for line in plain.splitlines():
        if "partition_ready" in line:
            said = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)\b", line)}
            found[said["partition"]] = said
    return found


def test_a_damaged_standby_is_given_up_and_disturbs_nobody(
    worker_settings: Settings, sender: Sender, start_named: Pair
) -> None:
    options: dict[str, Any] = {"standby_replicas": 1, "snapshot_url": "off"}
    first = start_named("first", **options).wait_ready()
    second = start_named("second", **options)
    wait_until(lambda: len(second.partitions()) == 2, "the second worker owns its share")
    sender.send(1_000)
    wait_until(lambda: standbys(second) == positions(first), "the standbys are level")
    assert second.stop() == 0, second.output()
    for current in (worker_settings.home / "second").glob("*/copy-*/CURRENT"):
        current.write_bytes(b"nothing\n")

    second = start_named("second", **options)
    wait_until(lambda: second.output().count("standby_given_up") == 2, "both are given up")
    wait_until(lambda: len(second.partitions()) == 2, "the second worker owns its share")
    sender.send(1_000)
    first.wait_level()
    second.wait_level()
    sender.check(second.url)
    assert sender.n_sent == sum(w.counters()["applied"] for w in (first, second))
    assert not standbys(second)
    set_aside = list((worker_settings.home / "second").glob("*/set-aside-*"))
    assert len(set_aside) == 4, "two standbys and two own copies"


def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(
    sender: Sender, start_named: Pair
) -> None:
    # Longer than a start takes on a busy machine.
    patient = {"session_timeout_seconds": 45.0}
    first = start_named("first", instance_id="first", **patient).wait_ready()
    second = start_named("second", instance_id="second", **patient)
    wait_until(lambda: len(second.partitions()) == 2, "the second worker owns its share")
    second.wait_level()
    owned, n_rebalances = set(positions(second)), rebalances(first)
    for end in (WorkerProcess.stop, WorkerProcess.kill):
        sender.send(500)
        end(second)
        second = start_named("second", instance_id="second", **patient).wait_ready()
        assert set(positions(second)) == owned
    assert rebalances(first) == n_rebalances
    first.wait_level()
    second.wait_level()
    sender.check(first.url)


def rebalances(worker: WorkerProcess) -> float:
    """Return the changes of the assignment that a worker has seen."""
    with urllib.request.urlopen(worker.url + "/metrics", timeout=5) as response:
        text = response.read().decode()
    return float(re.findall(r"^uic_rebalances_total (\S+)$", text, re.MULTILINE)[0])
