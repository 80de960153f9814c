"""``uic snapshot``: what an operator sees, checks, puts back and removes."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from factories import IDENTITY, DecayUpdater, make_batch, make_center, make_history

from interest_center.center import CenterOptions, PartitionCenter
from interest_center.cli import cli
from interest_center.core.layout import StateConfig
from interest_center.stores.rocksdb import RocksStore
from interest_center.stores.snapshots import DAY_MS, Snapshots
from streams.copies import PartitionFiles, StateRules
from streams.state_lock import StateLock

EVENTS = make_history(11, 900)
OFFSETS = (300, 600, 900)


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A target with three snapshots of one partition, two of them old."""
    place = tmp_path / "target"
    monkeypatch.setenv("UIC_SNAPSHOT_URL", str(place))
    center = make_center(RocksStore(tmp_path / "store"), updater=DecayUpdater())
    snapshots = Snapshots(str(place), IDENTITY, StateConfig())
    now_ms = time.time_ns() // 1_000_000
    for age, end in zip((9, 8, 0), OFFSETS, strict=True):
        center.apply(make_batch(EVENTS[center.watermark : end], center.watermark))
        at = now_ms - age * DAY_MS
        assert snapshots.save(center.take_snapshot_copy, tmp_path / "scratch", at)
    center.close()
    return place


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["snapshot", *arguments])


def ids() -> list[str]:
    return [json.loads(line)["id"] for line in run("list", "--json").stdout.splitlines()]


def open_states(states: Path) -> PartitionCenter:
    copy = PartitionFiles(states, IDENTITY.partition).current()
    assert copy is not None
    rules = StateRules(StateConfig(), DecayUpdater(), CenterOptions(hot_users=100), None)
    return rules.center(copy, IDENTITY)


def test_list_shows_the_newest_first(target: Path) -> None:
    told = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert [one["offset"] for one in told] == [900, 600, 300]
    assert {one["partition"] for one in told} == {IDENTITY.partition}
    assert told[0]["memory"] == f"{0xFEED:016x}"
    shown = run("list")
    assert shown.exit_code == 0
    assert told[0]["id"] in shown.output


def test_verify_names_what_is_broken(target: Path) -> None:
    done = run("verify")
    assert done.exit_code == 0
    assert "3 of 3 intact" in done.output
    newest = ids()[0]
    [manifest] = target.glob(f"manifests/**/*{newest}.json")
    hashed = sorted(json.loads(manifest.read_text())["files"].values())[0]
    damaged = target / "files" / hashed[:2] / hashed
    damaged.write_bytes(damaged.read_bytes() + b"x")
    done = run("verify", newest)
    assert done.exit_code == 1
    assert hashed in done.output
    assert run("verify", "deadbeef").exit_code == 2


def test_restore_is_what_a_worker_starts_from(target: Path, tmp_path: Path) -> None:
    states = tmp_path / "states"
    newest, middle, _ = ids()
    for name, offset in ((newest, 900), (middle, 600)):
        done = run("restore", name, "--state-dir", str(states))
        assert done.exit_code == 0, done.output
        center = open_states(states)
        assert center.watermark == offset
        center.close()
    assert len(list((states / f"partition-{IDENTITY.partition}").glob("set-aside-*"))) == 1
    assert run("restore", newest, middle, "--state-dir", str(states)).exit_code == 2


def test_restore_leaves_a_running_worker_alone(target: Path, tmp_path: Path) -> None:
    lock = StateLock(tmp_path / "states")
    done = run("restore", ids()[0], "--state-dir", str(tmp_path / "states"))
    assert done.exit_code == 2
    assert "uses the state directory" in done.output
    lock.release()


def test_a_broken_snapshot_is_not_restored(target: Path, tmp_path: Path) -> None:
    states = tmp_path / "states"
    newest, middle, _ = ids()
    assert run("restore", middle, "--state-dir", str(states)).exit_code == 0
    for file in (target / "files").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
    assert run("restore", newest, "--state-dir", str(states)).exit_code == 2
    center = open_states(states)
    assert center.watermark == 600
    center.close()


def test_prune_keeps_the_newest(target: Path) -> None:
    done = run("prune")
    assert done.exit_code == 0
    assert "removed 2 snapshots" in done.output
    assert len(ids()) == 1
    assert "1 of 1 intact" in run("verify").output


def test_no_target_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UIC_SNAPSHOT_URL", "off")
    assert run("list").exit_code == 2
    monkeypatch.setenv("UIC_SNAPSHOT_URL", str(tmp_path / "none"))
    assert run("list", "--json").stdout == ""
    assert "0 of 0 intact" in run("verify").output
