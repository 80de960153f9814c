"""Snapshots of a partition's store: content-addressed files first, the manifest last."""

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from interest_center.core.errors import CorruptRecordError, StoreError
from interest_center.core.fault_points import fault_point
from interest_center.core.keys import META_KEY
from interest_center.core.layout import READ_VERSIONS, StateConfig
from interest_center.core.meta import LogIdentity, MetaRecord
from interest_center.core.records import decode_meta
from interest_center.stores.rocksdb import RocksStore
from interest_center.stores.snapshot_target import SnapshotManifest, SnapshotTarget, content_hash

__all__ = ["PruneReport", "SnapshotManifest", "SnapshotReport", "Snapshots", "download"]

log = structlog.get_logger(__name__)

DAY_MS = 86_400_000
KEPT_DAYS = 7
#: Of directories that are removed when their work is done; a kill leaves them behind.
SCRATCH_PREFIX = "snapshot-scratch-"
#: RocksDB writes these anew wherever a copy is opened.
_NOT_STATE = ("LOG", "LOCK")
#: Hashes of table files, which never change; by device, inode, size and time.
_HASHES: dict[tuple[int, int, int, int], str] = {}
_MOST_HASHES = 10_000


@dataclass(frozen=True)
class SnapshotReport:
    """What one snapshot uploaded.

    Attributes:
        manifest: The snapshot.
        uploaded_files: Files that the target did not have.
        uploaded_bytes: Their bytes.
    """

    manifest: SnapshotManifest
    uploaded_files: int
    uploaded_bytes: int


@dataclass(frozen=True)
class PruneReport:
    """How many manifests and files one pruning removed."""

    manifests: int
    files: int


class Snapshots:
    """Snapshots of one partition in a target.

    Args:
        url: Fsspec URL or path of the target, shared by all partitions and workers.
        identity: The log and partition.
        config: Rules of the states; snapshots under others are not a start.
    """

    def __init__(self, url: str, identity: LogIdentity, config: StateConfig) -> None:
        self._target = SnapshotTarget(url)
        self._identity = identity
        self._config = config

    def save(
        self, take_copy: Callable[[Path], None], scratch: Path, now_ms: int
    ) -> SnapshotReport | None:
        """Upload a snapshot; None when the newest one says the same already.

        A file is not uploaded again when the newest manifest names it, which pruning spares.

        Args:
            take_copy: ``PartitionCenter.take_snapshot_copy``.
            scratch: A directory on the store's file system (for hard links); a sub-directory is
                made in it and removed again.
            now_ms: The caller's clock.
        """
        with _scratch(scratch) as folder:
            copy = folder / "copy"
            take_copy(copy)
            meta = read_meta(copy)
            newest = max(
                self._target.manifests(self._identity)[0],
                key=lambda manifest: manifest.created_ms,
                default=None,
            )
            if newest is not None and newest.meta == meta:
                return None
            trusted = frozenset(newest.files.values()) if newest is not None else frozenset()
            paths = sorted(path for path in copy.iterdir() if not path.name.startswith(_NOT_STATE))
            files, sent = {}, []
            for path in paths:
                hashed = files[path.name] = _hash(path)
                size = path.stat().st_size
                if hashed not in trusted or not self._target.has_file(hashed, size):
                    self._target.upload(path, hashed)
                    sent.append(size)
            size = sum(path.stat().st_size for path in paths)
            manifest = SnapshotManifest(meta, files, size, now_ms)
            fault_point("before_manifest")
            manifest = self._target.put_manifest(manifest, folder)
            fault_point("after_manifest")
        return SnapshotReport(manifest, len(sent), sum(sent))

    def manifests(self) -> list[SnapshotManifest]:
        """Return the readable manifests of this log and these rules, highest offset first."""
        found, _ = self._target.manifests(self._identity)
        ours = (
            manifest
            for manifest in found
            if manifest.meta.config_fingerprint == self._config.fingerprint
            and manifest.meta.layout_version in READ_VERSIONS
            and manifest.meta.identity == self._identity
        )
        return sorted(ours, key=lambda m: (m.meta.watermark, m.created_ms), reverse=True)

    def restore(
        self,
        directory: Path,
        memory_fingerprint: int | None = None,
        max_offset: int | None = None,
    ) -> SnapshotManifest | None:
        """Download the snapshot of the highest offset that is intact; None when there is none.

        Args:
            directory: Where to; must not exist, exists only when complete.
            memory_fingerprint: Only snapshots whose memories were written by these weights and
                are complete; None: any.
            max_offset: Only snapshots up to this offset: the end of the log, or a rollback.
        """
        for manifest in self.manifests():
            meta = manifest.meta
            if max_offset is not None and meta.watermark > max_offset:
                continue
            complete = meta.memory_watermark == meta.watermark
            same = meta.memory_fingerprint == memory_fingerprint
            if memory_fingerprint is not None and not (same and complete):
                continue
            try:
                download(self._target, manifest, directory)
            except (OSError, CorruptRecordError, StoreError) as error:
                log.warning("snapshot_not_intact", name=manifest.name, error=str(error))
                continue
            return manifest
        return None

    def prune(self, now_ms: int) -> PruneReport:
        """Remove old snapshots: keeps a day's, one a day for seven days, and always the newest.

        Files that any manifest of any partition names, and files younger than a day, are spared;
        all are when a manifest cannot be read.
        """
        ours, _ = self._target.manifests(self._identity)
        kept = kept_names(ours, now_ms)
        n_manifests = sum(self._target.remove(m.name) for m in ours if m.name not in kept)
        unnamed = dict(self._target.files())
        # Manifests are read after the files are listed: a file in between is named or young.
        everyone, complete = self._target.manifests()
        if not complete:
            return PruneReport(n_manifests, 0)
        for manifest in everyone:
            for hashed in manifest.files.values():
                unnamed.pop(hashed, None)
        n_files = 0
        for path in (*unnamed.values(), *self._target.half_written_manifests()):
            modified_ms = self._target.modified_ms(path)
            if modified_ms is not None and modified_ms < now_ms - DAY_MS:
                n_files += self._target.remove(path)
        return PruneReport(n_manifests, n_files)


def download(target: SnapshotTarget, manifest: SnapshotManifest, directory: Path) -> None:
    """Make a checked copy of a snapshot in ``directory``, which appears when it is complete.

    Raises:
        CorruptRecordError: A file is not the one that was put, or the copy says something else.
        StoreError: The copy cannot be opened.
        OSError: A file is missing, or cannot be read or written.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _scratch(directory.parent) as folder:
        copy = folder / "copy"
        copy.mkdir()
        for name, hashed in manifest.files.items():
            if Path(name).name != name:
                raise CorruptRecordError(f"manifest names a file outside its copy: {name!r}")
            target.download(hashed, copy / name)
        if read_meta(copy) != manifest.meta:
            raise CorruptRecordError("the copy says something else than its manifest")
        copy.rename(directory)


def kept_names(manifests: list[SnapshotManifest], now_ms: int) -> set[str]:
    """Return the names of the manifests of one partition that pruning keeps."""
    kept: set[str] = set()
    days: set[int] = set()
    for manifest in sorted(manifests, key=lambda m: m.created_ms, reverse=True):
        age_ms, day = now_ms - manifest.created_ms, manifest.created_ms // DAY_MS
        if not kept or age_ms < DAY_MS or (age_ms < KEPT_DAYS * DAY_MS and day not in days):
            kept.add(manifest.name)
            days.add(day)
    return kept


def read_meta(copy: Path) -> MetaRecord:
    """Open a copy of a store and return what it says about itself.

    Raises:
        CorruptRecordError: It says nothing.
        StoreError: It cannot be opened.
    """
    store = RocksStore(copy, read_only=True)
    try:
        record = store.get_many([META_KEY])[0]
    finally:
        store.close()
    if record is None:
        raise CorruptRecordError(f"copy {copy} has no meta record")
    return decode_meta(record)


def _hash(path: Path) -> str:
    """Return the content hash of a file; table files are read only once."""
    if path.suffix != ".sst":
        return content_hash(path)
    stat = path.stat()
    key = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
    if key not in _HASHES:
        if len(_HASHES) >= _MOST_HASHES:
            _HASHES.clear()
        _HASHES[key] = content_hash(path)
    return _HASHES[key]


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """Give a directory that is removed again."""
    folder = parent / f"{SCRATCH_PREFIX}{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
