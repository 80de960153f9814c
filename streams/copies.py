"""Copies of a partition's state on disk, and which one a worker starts from.

::

    STATE_DIR/partition-3/current         name of the copy in use
    STATE_DIR/partition-3/copy-.../       a RocksDB
    STATE_DIR/partition-3/set-aside-.../  under other rules, or damaged; for the operator to remove
"""

import contextlib
import os
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from interest_center.center import CenterOptions, PartitionCenter
from interest_center.core.errors import (
    ConfigurationError,
    InterestCenterError,
    LogMismatchError,
    PartitionCountError,
    StateMismatchError,
)
from interest_center.core.fault_points import fault_point
from interest_center.core.layout import StateConfig
from interest_center.core.meta import LogIdentity
from interest_center.core.protocols import MemoryUpdater
from interest_center.stores.rocksdb import RocksStore
from interest_center.stores.snapshots import SCRATCH_PREFIX, Snapshots
from streams.log_identity import AFRESH

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class StateRules:
    """What makes a copy usable here.

    Attributes:
        config: Rules of the states.
        updater: Memory model, None for no memory.
        options: Sizes in memory.
        snapshots_url: Where snapshots are, None for none.
    """

    config: StateConfig
    updater: MemoryUpdater | None
    options: CenterOptions
    snapshots_url: str | None

    @property
    def memory_fingerprint(self) -> int | None:
        """Weights that must have written a memory for it to be read."""
        return None if self.updater is None else self.updater.fingerprint

    def center(self, directory: Path, identity: LogIdentity) -> PartitionCenter:
        """Open a copy, or make an empty one.

        Raises:
            LogMismatchError: The copy is of another log.
            StateMismatchError: The copy follows other rules, or has another layout.
        """
        store = RocksStore(directory)
        try:
            return PartitionCenter(store, self.config, self.updater, identity, self.options)
        except InterestCenterError:
            store.close()
            raise

    def snapshots(self, identity: LogIdentity) -> Snapshots | None:
        """Return the snapshots of a partition, None when they are switched off."""
        if self.snapshots_url is None:
            return None
        return Snapshots(self.snapshots_url, identity, self.config)


class PartitionFiles:
    """The files of one partition.

    Args:
        states: State directory of the worker.
        partition: Number of the partition.
    """

    def __init__(self, states: Path, partition: int) -> None:
        self.path = states / f"partition-{partition}"
        self._pointer = self.path / "current"

    def current(self) -> Path | None:
        """Return the copy in use, None when there is none."""
        try:
            copy = self.path / self._pointer.read_text().strip()
        except FileNotFoundError:
            return None
        return copy if copy.is_dir() else None

    def size_bytes(self) -> int:
        """Return what the copy in use takes on disk; RocksDB removes files while we look."""
        total = 0
        copy = self.current()
        for file in copy.glob("*") if copy is not None else ():
            with contextlib.suppress(FileNotFoundError):
                total += file.stat().st_size
        return total

    def new_copy(self) -> Path:
        """Return the path of a copy that does not exist yet."""
        self.path.mkdir(parents=True, exist_ok=True)
        return self.path / f"copy-{secrets.token_hex(4)}"

    def memory_copy(self, fingerprint: int) -> Path:
        """Return the path of the copy in which a memory is built; the same after a restart."""
        first = self.path / f"copy-memory-{fingerprint:016x}"
        # The copy in use may itself be such a build, of the same weights, gone stale without them.
        return first if first != self.current() else first.with_name(first.name + "-again")

    def make_current(self, copy: Path) -> None:
        """Point to another copy, atomically."""
        draft = self._pointer.with_suffix(".new")
        with draft.open("w") as file:
            file.write(copy.name)
            file.flush()
            os.fsync(file.fileno())
        fault_point("before_current")
        draft.replace(self._pointer)
        fault_point("after_current")

    def set_aside(self, copy: Path) -> Path:
        """Rename a copy that is not a start; it is kept until the operator removes it."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        aside = self.path / f"set-aside-{stamp}-{secrets.token_hex(2)}"
        copy.rename(aside)
        return aside

    def sweep(self, memory_fingerprint: int | None) -> None:
        """Remove what a crash or an earlier bundle left; sets aside are the operator's.

        Args:
            memory_fingerprint: Weights whose memories may be half built here, None without.
        """
        kept = {self.current()}
        if memory_fingerprint is not None:
            kept.add(self.memory_copy(memory_fingerprint))
        for pattern in ("copy-*", SCRATCH_PREFIX + "*"):
            for left in self.path.glob(pattern):
                if left not in kept:
                    shutil.rmtree(left, ignore_errors=True)


def open_own_copy(
    files: PartitionFiles, rules: StateRules, identity: LogIdentity
) -> PartitionCenter | None:
    """Open the copy that this worker left behind; one under other rules is set aside.

    Raises:
        LogMismatchError: The copy is of another log, so the topic was recreated.
    """
    copy = files.current()
    if copy is None:
        return None
    try:
        return rules.center(copy, identity)
    except StateMismatchError as error:
        log.warning("copy_set_aside", why=error.message, now_at=str(files.set_aside(copy)))
        return None
    except PartitionCountError:
        raise
    except LogMismatchError as error:
        raise LogMismatchError(error.message, hint=AFRESH) from error


def open_restored_copy(
    files: PartitionFiles, rules: StateRules, identity: LogIdentity, log_end: int
) -> PartitionCenter:
    """Start from the newest snapshot, else from nothing.

    Raises:
        ConfigurationError: The snapshots cannot be looked at.
    """
    copy = files.new_copy()
    snapshots = rules.snapshots(identity)
    if snapshots is not None:
        try:
            # One with the memories of our weights first: else they would have to be built again.
            manifest = snapshots.restore(copy, rules.memory_fingerprint, log_end)
            if manifest is None and rules.memory_fingerprint is not None:
                manifest = snapshots.restore(copy, None, log_end)
        except OSError as error:
            raise ConfigurationError(
                f"cannot look for snapshots at {rules.snapshots_url}: {error}",
                hint="mend it, or start from the topic with UIC_SNAPSHOT_URL=off",
            ) from error
        if manifest is not None:
            log.info(
                "snapshot_restored",
                partition=identity.partition,
                position=manifest.meta.watermark,
                size_bytes=manifest.size_bytes,
            )
    center = rules.center(copy, identity)
    files.make_current(copy)
    return center


def open_copy(
    files: PartitionFiles, rules: StateRules, identity: LogIdentity, log_end: int
) -> PartitionCenter:
    """Open what is the right start of a partition: own copy, else snapshot, else nothing.

    Raises:
        LogMismatchError: The own copy is of another log.
        ConfigurationError: The snapshots cannot be looked at.
    """
    files.sweep(rules.memory_fingerprint)
    center = open_own_copy(files, rules, identity)
    return center or open_restored_copy(files, rules, identity, log_end)
