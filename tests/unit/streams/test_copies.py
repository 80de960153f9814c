"""Copies on disk: which one is the start, what is set aside, what a crash may leave behind."""

from pathlib import Path

import pytest
from factories import IDENTITY, DecayUpdater

from interest_center.center import CenterOptions
from interest_center.core.errors import ConfigurationError, LogMismatchError
from interest_center.core.layout import StateConfig
from interest_center.core.meta import LogIdentity
from streams.copies import PartitionFiles, StateRules, open_copy
from streams.state_lock import StateLock

OPTIONS = CenterOptions(hot_users=100)


def rules(updater: DecayUpdater | None = None, **config: int) -> StateRules:
    return StateRules(StateConfig(**config), updater, OPTIONS, None)


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
    center = open_copy(files, rules(), IDENTITY, 0)
    center.begin_at(5)
    center.checkpoint()
    center.close()
    other = open_copy(files, rules(n_behaviors=7), IDENTITY, 0)
    assert other.watermark == 0
    other.close()
    assert len(list(files.path.glob("set-aside-*"))) == 1


def test_a_copy_of_another_log_is_refused_with_the_way_out(tmp_path: Path) -> None:
    files = PartitionFiles(tmp_path, 3)
    center = open_copy(files, rules(), IDENTITY, 0)
    center.begin_at(5)
    center.checkpoint()
    center.close()
    recreated = LogIdentity("cluster", "events", "another-id", 3)
    with pytest.raises(LogMismatchError) as refused:
        open_copy(files, rules(), recreated, 0)
    assert "--fresh" in refused.value.hint


def test_half_made_copies_are_removed_but_not_the_current_one(tmp_path: Path) -> None:
    files = PartitionFiles(tmp_path, 3)
    open_copy(files, rules(), IDENTITY, 0).close()
    (files.path / "copy-half").mkdir()
    built = files.memory_copy(1)
    built.mkdir()
    files.remove_other_copies()
    current = files.current()
    assert current is not None
    assert set(files.path.glob("copy-*")) == {current, built}


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
