"""`uic bench` with a Kafka of its own: every figure is there, and nothing is left behind."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.kafka

USERS = 2_000


def bench(home: Path, *arguments: str) -> Any:
    command = [sys.executable, "-m", "interest_center.cli", "bench", *arguments, "--json"]
    command += ["--home", str(home), "--users", str(USERS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    return json.loads(done.stdout)


# Two workers are measured from when both have partitions; the first consumes until then.
@pytest.mark.parametrize(("work", "workers", "events"), [("toy", 1, 400_000), ("hpmn", 2, 400_000)])
def test_a_run_tells_what_it_cost(work: str, workers: int, events: int, tmp_path: Path) -> None:
    sizes = ("--work", work, "--workers", str(workers), "--events", str(events), "--runs", "1")
    told = bench(tmp_path, "engine", *sizes)
    (run,) = told["runs"]["interest center"]
    assert 0 < run["events"] < events
    assert run["events_per_second"] == pytest.approx(run["events"] / run["seconds"], rel=0.01)
    assert all(value > 0 for value in run["cpu_us_per_event"].values())
    assert all(value > 0 for value in run["stage_us_per_event"].values())
    assert run["bytes_per_event"]["checkpoints"] > 40
    assert run["checkpoint_interval_seconds"]["mean"] > 0
    assert run["peak_memory_bytes"] > 50 << 20
    assert list(tmp_path.iterdir()) == []


def test_freshness_is_told_of_every_probe(tmp_path: Path) -> None:
    told = bench(tmp_path, "freshness", "--work", "none", "--rate", "500", "--seconds", "3")
    assert told["visible_ms"]["n"] == 15
    assert told["read_ms"]["n"] == 150
    for times in (told["visible_ms"], told["read_ms"]):
        assert 0 < times["p50"] <= times["p99"] <= times["max"]
    assert told["events"] > 500
    assert list(tmp_path.iterdir()) == []


def test_every_part_has_a_limit_of_its_own(tmp_path: Path) -> None:
    told = bench(tmp_path, "limits", "--work", "hpmn", "--events", "20000")
    assert set(told) == {"fetch", "decode", "scan", "rocksdb"}
    assert all(rate > 1_000 for rate in told.values())
    assert list(tmp_path.iterdir()) == []
