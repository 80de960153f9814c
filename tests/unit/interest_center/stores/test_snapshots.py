"""Snapshots: what a target holds after saving, losing, damaging, restoring and pruning."""

import base64
import json
import os
import time
from pathlib import Path

import pytest
from factories import (
    IDENTITY,
    DecayUpdater,
    assert_equal_states,
    make_batch,
    make_center,
    make_history,
)
from reference.interest_state import ReferenceCenter

from interest_center.center import PartitionCenter
from interest_center.core.errors import CorruptRecordError
from interest_center.core.layout import READ_VERSIONS, StateConfig
from interest_center.core.meta import LogIdentity
from interest_center.stores.rocksdb import RocksStore
from interest_center.stores.snapshot_target import SnapshotTarget
from interest_center.stores.snapshots import DAY_MS, Snapshots, read_meta

NOW_MS = 1_800_000_000_000
EVENTS = make_history(11, 900)
GOLDEN_STATES = Path(__file__).parents[3] / "golden" / "states"


@pytest.fixture
def center(tmp_path: Path) -> PartitionCenter:
    return make_center(RocksStore(tmp_path / "store"), updater=DecayUpdater())


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return Snapshots(str(tmp_path / "target"), IDENTITY, StateConfig())


def advance(center: PartitionCenter, end: int) -> None:
    center.apply(make_batch(EVENTS[center.watermark : end], center.watermark))


def save(
    center: PartitionCenter, snapshots: Snapshots, tmp_path: Path, now_ms: int = NOW_MS
) -> int:
    report = snapshots.save(center.take_snapshot_copy, tmp_path / "scratch", now_ms)
    assert report is not None
    assert list((tmp_path / "scratch").iterdir()) == []
    return report.uploaded_files


def files_of(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "target" / "files").rglob("*") if path.is_file()]


def test_a_restored_copy_is_the_state_at_its_offset(
    center: PartitionCenter, snapshots: Snapshots, tmp_path: Path
) -> None:
    advance(center, 500)
    save(center, snapshots, tmp_path)
    counters = center.counters
    advance(center, 900)
    center.close()
    manifest = snapshots.restore(tmp_path / "new" / "copy")
    assert manifest is not None
    assert manifest.meta.watermark == 500
    restored = make_center(RocksStore(tmp_path / "new" / "copy"), updater=DecayUpdater())
    assert (restored.watermark, restored.counters) == (500, counters)
    twin = ReferenceCenter()
    twin.apply(EVENTS[:500])
    assert_equal_states(restored, twin, DecayUpdater())
    advance(restored, 900)
    twin.apply(EVENTS[500:])
    assert_equal_states(restored, twin, DecayUpdater())
    restored.close()


def test_nothing_is_uploaded_twice(
    center: PartitionCenter, snapshots: Snapshots, tmp_path: Path
) -> None:
    advance(center, 300)
    save(center, snapshots, tmp_path)
    assert snapshots.save(center.take_snapshot_copy, tmp_path / "scratch", NOW_MS) is None
    tables = len([name for name in snapshots.manifests()[0].files if name.endswith(".sst")])
    assert tables > 0
    advance(center, 600)
    uploaded = save(center, snapshots, tmp_path, NOW_MS + 1)
    newest = snapshots.manifests()[0]
    assert uploaded <= len(newest.files) - tables
    assert newest.meta.watermark == 600
    assert newest.size_bytes > 0


def test_a_damaged_or_missing_file_makes_an_older_snapshot_the_start(
    center: PartitionCenter, snapshots: Snapshots, tmp_path: Path
) -> None:
    for step, end in enumerate((300, 600, 900)):
        advance(center, end)
        save(center, snapshots, tmp_path, NOW_MS + step)
    newest, middle, oldest = snapshots.manifests()
    only_new = set(newest.files.values()) - set(middle.files.values())
    path = next(path for path in files_of(tmp_path) if path.name in only_new)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    restored = snapshots.restore(tmp_path / "a")
    assert restored is not None
    assert restored.meta.watermark == 600
    only_middle = set(middle.files.values()) - set(oldest.files.values())
    for path in files_of(tmp_path):
        if path.name in only_middle:
            path.unlink()
    restored = snapshots.restore(tmp_path / "b")
    assert restored is not None
    assert restored.meta.watermark == 300
    for path in files_of(tmp_path):
        path.unlink()
    assert snapshots.restore(tmp_path / "c") is None
    assert not (tmp_path / "c").exists()
    assert [path.name for path in tmp_path.iterdir() if "scratch-" in path.name] == []


def test_restore_takes_the_highest_offset_that_fits(
    center: PartitionCenter, snapshots: Snapshots, tmp_path: Path
) -> None:
    for step, end in enumerate((300, 600)):
        advance(center, end)
        save(center, snapshots, tmp_path, NOW_MS - step)
    meta = [manifest.meta.watermark for manifest in snapshots.manifests()]
    assert meta == [600, 300]
    below = snapshots.restore(tmp_path / "a", max_offset=599)
    assert below is not None
    assert below.meta.watermark == 300
    assert snapshots.restore(tmp_path / "b", memory_fingerprint=DecayUpdater(1).fingerprint) is None
    same = snapshots.restore(tmp_path / "c", memory_fingerprint=DecayUpdater().fingerprint)
    assert same is not None
    assert same.meta.memory_from == 0


def test_only_snapshots_of_this_log_and_these_rules_are_a_start(
    center: PartitionCenter, snapshots: Snapshots, tmp_path: Path
) -> None:
    advance(center, 300)
    save(center, snapshots, tmp_path)
    target = str(tmp_path / "target")
    recreated = LogIdentity(IDENTITY.cluster_id, IDENTITY.topic, "other", 4, IDENTITY.partition)
    assert Snapshots(target, recreated, StateConfig()).restore(tmp_path / "a") is None
    other = Snapshots(target, IDENTITY, StateConfig(n_behaviors=50))
    assert other.restore(tmp_path / "b") is None


@pytest.mark.parametrize("version", READ_VERSIONS)
def test_snapshots_of_every_layout_that_is_read_are_a_start(version: int, tmp_path: Path) -> None:
    stored = json.loads((GOLDEN_STATES / f"layout_{version}.json").read_text())
    store = RocksStore(tmp_path / "store")
    store.write(((bytes.fromhex(key), base64.b64decode(stored[key])) for key in stored), ())
    rules = StateConfig(n_behaviors=4, n_event_ids=3)
    target = Snapshots(str(tmp_path / "target"), IDENTITY, rules)
    target.save(store.checkpoint, tmp_path / "scratch", NOW_MS)
    manifest = target.restore(tmp_path / "copy")
    assert manifest is not None
    assert manifest.meta.layout_version == version


def test_a_manifest_that_promises_something_else_is_not_a_start(
    center: PartitionCenter, snapshots: Snapshots, tmp_path: Path
) -> None:
    advance(center, 300)
    save(center, snapshots, tmp_path)
    path = Path(snapshots.manifests()[0].name)
    manifest = json.loads(path.read_text())
    manifest["meta"]["counters"]["applied"] += 1
    (path.parent / "x.json").write_text(json.dumps(manifest))
    manifest["files"]["../evil"] = next(iter(manifest["files"].values()))
    (path.parent / "y.json").write_text(json.dumps(manifest))
    (path.parent / "z.json").write_text("{")
    assert len(snapshots.manifests()) == 3
    restored = snapshots.restore(tmp_path / "a")
    assert restored is not None
    assert restored.name == str(path)
    assert not (tmp_path / "evil").exists()


def test_pruning_keeps_a_day_then_one_a_day_then_a_week(
    center: PartitionCenter, snapshots: Snapshots, tmp_path: Path
) -> None:
    now_ms = int(time.time() * 1000) // DAY_MS * DAY_MS + 12 * 3_600_000
    hours = (300, 100, 98, 96, 40, 30, 20, 10, 1)
    for step, age in enumerate(hours, start=1):
        advance(center, step * 100)
        save(center, snapshots, tmp_path, now_ms - age * 3_600_000)
    before = len(files_of(tmp_path))
    for path in files_of(tmp_path):
        os.utime(path, (now_ms / 1000 - 2 * 86_400,) * 2)
    report = snapshots.prune(now_ms)
    kept = sorted((now_ms - m.created_ms) // 3_600_000 for m in snapshots.manifests())
    assert kept == [1, 10, 20, 40, 96]
    assert report.manifests == 4
    assert report.files == before - len(files_of(tmp_path)) > 0
    named = {hashed for m in snapshots.manifests() for hashed in m.files.values()}
    assert {path.name for path in files_of(tmp_path)} == named
    restored = snapshots.restore(tmp_path / "a")
    assert restored is not None
    assert restored.meta.watermark == 900
    assert snapshots.prune(now_ms + 100 * DAY_MS).manifests == 4
    assert [m.meta.watermark for m in snapshots.manifests()] == [900]


def test_pruning_spares_young_files_and_those_of_other_partitions(
    center: PartitionCenter, snapshots: Snapshots, tmp_path: Path
) -> None:
    advance(center, 300)
    save(center, snapshots, tmp_path, 0)
    target = SnapshotTarget(str(tmp_path / "target"))
    for name in ("young", "old"):
        (tmp_path / name).write_text(name)
        target.upload(tmp_path / name, name * 8)
    now_ms = int(time.time() * 1000)
    for path in files_of(tmp_path):
        if not path.name.startswith("young"):
            os.utime(path, (now_ms / 1000 - 90_000,) * 2)
    other = LogIdentity(IDENTITY.cluster_id, IDENTITY.topic, IDENTITY.topic_id, 100, 99)
    others = Snapshots(str(tmp_path / "target"), other, StateConfig())
    assert others.prune(now_ms).files == 1
    assert snapshots.restore(tmp_path / "a") is not None
    assert any(path.name.startswith("young") for path in files_of(tmp_path))


def test_pruning_touches_no_file_while_a_manifest_is_unreadable(
    center: PartitionCenter, snapshots: Snapshots, tmp_path: Path
) -> None:
    advance(center, 300)
    save(center, snapshots, tmp_path)
    (tmp_path / "orphan").write_text("orphan")
    SnapshotTarget(str(tmp_path / "target")).upload(tmp_path / "orphan", "orphan")
    unreadable = Path(snapshots.manifests()[0].name).parent / "new.json"
    unreadable.write_text("{}")
    later_ms = int(time.time() * 1000) + 2 * DAY_MS
    assert snapshots.prune(later_ms).files == 0
    unreadable.unlink()
    assert snapshots.prune(later_ms).files == 1


def test_a_target_that_is_not_a_folder(center: PartitionCenter, tmp_path: Path) -> None:
    snapshots = Snapshots(f"memory://snapshots-{tmp_path.name}", IDENTITY, StateConfig())
    advance(center, 300)
    save(center, snapshots, tmp_path)
    assert snapshots.prune(NOW_MS).files == 0
    assert snapshots.restore(tmp_path / "a") is not None
    assert read_meta(tmp_path / "a") == center.meta()


def test_a_directory_that_is_no_store_is_refused(tmp_path: Path) -> None:
    RocksStore(tmp_path / "empty").close()
    with pytest.raises(CorruptRecordError, match="no meta record"):
        read_meta(tmp_path / "empty")


def test_a_half_written_manifest_neither_stops_pruning_nor_stays(
    center: PartitionCenter, snapshots: Snapshots, tmp_path: Path
) -> None:
    advance(center, 500)
    save(center, snapshots, tmp_path)
    (manifest,) = (tmp_path / "target" / "manifests").rglob("*.json")
    half = manifest.with_name(manifest.name + ".partial-0123")
    half.write_text("{")
    orphan = tmp_path / "target" / "files" / "ab" / "abc"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_text("nobody names it")
    long_ago = time.time() - 3 * DAY_MS / 1000
    for path in (half, orphan):
        os.utime(path, (long_ago, long_ago))
    report = snapshots.prune(int(time.time() * 1000))
    assert report.files == 2
    assert not half.exists()
    assert not orphan.exists()
    assert snapshots.restore(tmp_path / "new" / "copy") is not None
