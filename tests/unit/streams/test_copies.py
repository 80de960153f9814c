"""Copies on disk: which one is the start, what is set aside, what a crash may leave behind."""

from pathlib import Path

import msgspec
import pytest
from factories import IDENTITY, DecayUpdater

from interest_center.center import CenterOptions
from interest_center.core.errors import ConfigurationError, LogMismatchError, PartitionCountError
from interest_center.core.keys import META_KEY
from interest_center.core.layout import StateConfig
from interest_center.core.meta import LogIdentity
from interest_center.settings import load_settings
from interest_center.stores.rocksdb import RocksStore
from streams.copies import PartitionFiles, StateRules, open_copy
from streams.state_lock import StateLock
from streams.worker import set_aside

OPTIONS = CenterOptions(hot_users=100)


def rules(updater: DecayUpdater | None = None, **config: int) -> StateRules:
    return StateRules(StateConfig(**config), updater, OPTIONS, None)


def leave_a_copy(files: PartitionFiles) -> None:
    """Make what a worker leaves behind that has consumed something."""
    center = open_copy(files, rules(), IDENTITY, 0)
    center.begin_at(5)
    center.checkpoint()
    center.close()


def test_the_first_start_makes_a_copy_and_the_next_one_finds_it(tmp_path: Path) -> None:
    files = PartitionFiles(tmp_path, 3)
    assert files.current() is None
    open_copy(files, rules(), IDENTITY, 0).close()
    copy = files.current()
    assert copy is not None
    open_copy(files, rules(), IDENTITY, 0).close()
    assert files.current() == copy


def test_a_copy_under_other_rules_is_set_aside(tmp_path: Path) -> None:
    files = PartitionFiles(tmp_path, 3)
    leave_a_copy(files)
    other = open_copy(files, rules(n_behaviors=7), IDENTITY, 0)
    assert other.watermark == 0
    other.close()
    assert len(list(files.path.glob("set-aside-*"))) == 1


def test_a_copy_of_another_log_is_refused_with_the_way_out(tmp_path: Path) -> None:
    files = PartitionFiles(tmp_path, 3)
    leave_a_copy(files)
    recreated = LogIdentity("cluster", "events", "another-id", 4, 3)
    with pytest.raises(LogMismatchError) as refused:
        open_copy(files, rules(), recreated, 0)
    assert "--fresh" in refused.value.hint


def test_what_a_crash_left_is_removed_but_not_the_current_copy(tmp_path: Path) -> None:
    files = PartitionFiles(tmp_path, 3)
    updater = DecayUpdater()
    open_copy(files, rules(updater), IDENTITY, 0).close()
    built, forgotten = files.memory_copy(updater.fingerprint), files.memory_copy(1)
    for left in (built, forgotten, files.path / "copy-half", files.path / "snapshot-scratch-1"):
        left.mkdir()
    open_copy(files, rules(updater), IDENTITY, 0).close()
    current = files.current()
    assert current is not None
    assert {path.name for path in files.path.iterdir()} == {current.name, built.name, "current"}


def test_a_copy_of_another_layout_is_set_aside(tmp_path: Path) -> None:
    files = PartitionFiles(tmp_path, 3)
    leave_a_copy(files)
    copy = files.current()
    assert copy is not None
    store = RocksStore(copy)
    record = bytearray(store.get_many([META_KEY])[0] or b"")
    record[3] += 1
    store.write([(META_KEY, bytes(record))], [])
    store.close()
    other = open_copy(files, rules(), IDENTITY, 0)
    assert other.watermark == 0
    other.close()
    assert len(list(files.path.glob("set-aside-*"))) == 1


def test_a_copy_from_before_the_topic_grew_is_refused_with_the_way_out(tmp_path: Path) -> None:
    files = PartitionFiles(tmp_path, 3)
    leave_a_copy(files)
    grown = msgspec.structs.replace(IDENTITY, n_partitions=8)
    with pytest.raises(PartitionCountError, match=r"has 8 partitions.*from 4") as refused:
        open_copy(files, rules(), grown, 0)
    assert "new topic" in refused.value.hint


def test_the_size_is_told_of_a_relative_directory_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = PartitionFiles(Path("states"), 3)
    assert files.size_bytes() == 0
    open_copy(files, rules(), IDENTITY, 0).close()
    assert files.size_bytes() > 0


def test_a_snapshot_url_that_cannot_be_used_says_what_to_do() -> None:
    given = StateRules(StateConfig(), None, OPTIONS, "nosuch://bucket")
    with pytest.raises(ConfigurationError, match="snapshots cannot be kept at nosuch:") as refused:
        given.snapshots(IDENTITY)
    assert "UIC_SNAPSHOT_URL" in refused.value.hint


def test_fresh_does_not_pull_the_directory_from_under_a_running_worker(tmp_path: Path) -> None:
    settings = load_settings(state_dir=tmp_path / "state")
    assert set_aside(settings) is None
    lock = StateLock(settings.states)
    with pytest.raises(ConfigurationError, match="another worker"):
        set_aside(settings)
    assert settings.states.is_dir()
    lock.release()
    aside = set_aside(settings)
    assert aside is not None
    assert aside.is_dir()
    assert not settings.states.exists()


def test_memories_are_never_built_in_the_copy_in_use(tmp_path: Path) -> None:
    files = PartitionFiles(tmp_path, 3)
    first = files.memory_copy(7)
    first.mkdir(parents=True)
    assert files.memory_copy(7) == first
    files.make_current(first)
    assert files.memory_copy(7) != first


def test_a_state_directory_has_one_worker(tmp_path: Path) -> None:
    lock = StateLock(tmp_path / "state")
    with pytest.raises(ConfigurationError, match="another worker"):
        StateLock(tmp_path / "state")
    lock.release()
    StateLock(tmp_path / "state").release()
