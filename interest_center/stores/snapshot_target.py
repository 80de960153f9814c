"""Where snapshots lie: files under their content hash, manifests beside them, in any fsspec target.

::

    URL/files/3f/3f9c...            content, named by the BLAKE2b hash of its bytes; never changed
    URL/manifests/CLUSTER/TOPIC/TOPIC_ID/PARTITION/OFFSET-CREATED-RANDOM.json
                                    one snapshot: its meta record and its files; never overwritten
"""

import hashlib
import secrets
from collections.abc import Iterator
from datetime import UTC
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
import msgspec
import structlog
from fsspec.spec import AbstractFileSystem

from interest_center.core.errors import ConfigurationError, CorruptRecordError
from interest_center.core.meta import LogIdentity, MetaRecord

log = structlog.get_logger(__name__)

MANIFEST_SUFFIX = ".json"
_PIECE_BYTES = 1 << 20


class SnapshotManifest(msgspec.Struct, frozen=True):
    """One snapshot: what it is of, and its files by content hash.

    Attributes:
        meta: Meta record as read from the opened copy: identity, offset, counters, fingerprints.
        files: Content hash by file name.
        size_bytes: Bytes of all files.
        created_ms: When it was written.
        name: Path of the manifest in the target.
    """

    meta: MetaRecord
    files: dict[str, str]
    size_bytes: int
    created_ms: int
    name: str = ""


def content_hash(path: Path) -> str:
    """Return the hash under which the bytes of a local file are kept."""
    digest = hashlib.blake2b(digest_size=32)
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()


class SnapshotTarget:
    """Files and manifests in one fsspec target.

    Args:
        url: Fsspec URL or local path.

    Raises:
        ConfigurationError: There is no such kind of target here.
    """

    def __init__(self, url: str) -> None:
        self._fs, root = _file_system(url)
        self._root = root.rstrip("/")
        self._is_local = "file" in _protocols(self._fs)

    def has_file(self, hashed: str, size_bytes: int) -> bool:
        """Tell whether a content is there, with its full length."""
        try:
            return int(self._fs.info(self._file(hashed))["size"]) == size_bytes
        except FileNotFoundError:
            return False

    def upload(self, path: Path, hashed: str) -> None:
        """Put a local file under its content hash."""
        self._put(path, self._file(hashed))

    def download(self, hashed: str, path: Path) -> None:
        """Fetch a content and check it.

        Raises:
            CorruptRecordError: The bytes are not those that were put.
            OSError: It is not there, or cannot be read.
        """
        self._fs.get_file(self._file(hashed), str(path))
        if content_hash(path) != hashed:
            raise CorruptRecordError(f"snapshot file {hashed} does not hold what its name says")

    def put_manifest(self, manifest: SnapshotManifest, scratch: Path) -> SnapshotManifest:
        """Write a manifest under a name that nothing else has or will have, and return it."""
        name = "-".join(
            (
                f"{manifest.meta.watermark:020d}",
                f"{manifest.created_ms:015d}",
                secrets.token_hex(4) + MANIFEST_SUFFIX,
            )
        )
        named = msgspec.structs.replace(
            manifest, name=f"{self._manifests(manifest.meta.identity)}/{name}"
        )
        local = scratch / name
        local.write_bytes(msgspec.json.format(msgspec.json.encode(named)))
        self._put(local, named.name)
        return named

    def manifests(self, identity: LogIdentity | None = None) -> tuple[list[SnapshotManifest], bool]:
        """Return the manifests of one partition, or all; and whether every one could be read."""
        folder = self._manifests(identity) if identity else f"{self._root}/manifests"
        found, complete = [], True
        for path in self._paths(folder):
            if not path.endswith(MANIFEST_SUFFIX):
                continue
            try:
                found.append(_manifest(self._fs, path))
            except FileNotFoundError:
                continue  # Another owner pruned it.
            except msgspec.MsgspecError as error:
                complete = False
                log.warning("snapshot_manifest_unreadable", path=path, error=str(error))
        return found, complete

    def half_written_manifests(self) -> list[str]:
        """Return what interrupted writers left among the manifests."""
        paths = self._paths(f"{self._root}/manifests")
        return [path for path in paths if not path.endswith(MANIFEST_SUFFIX)]

    def remove(self, path: str) -> bool:
        """Remove a manifest or a file; False when it was gone."""
        try:
            self._fs.rm_file(path)
        except FileNotFoundError:
            return False
        return True

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield the content hash and path of every file, of half-uploaded ones too."""
        for path in self._paths(f"{self._root}/files"):
            yield path.rsplit("/", 1)[1], path

    def modified_ms(self, path: str) -> int | None:
        """Return when a file was last put, None when it is gone or the target does not tell."""
        try:
            modified = self._fs.modified(path)
        except (FileNotFoundError, NotImplementedError):
            return None
        if modified.tzinfo is None:
            modified = modified.replace(tzinfo=UTC)
        return int(modified.timestamp() * 1000)

    def _file(self, hashed: str) -> str:
        return f"{self._root}/files/{hashed[:2]}/{hashed}"

    def _manifests(self, identity: LogIdentity) -> str:
        parts = (identity.cluster_id, identity.topic, identity.topic_id, str(identity.partition))
        return "/".join((self._root, "manifests", *(quote(part, safe="") for part in parts)))

    def _put(self, local: Path, path: str) -> None:
        """Put a file so that nobody sees half of it: object stores do that by themselves."""
        self._fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        if not self._is_local:
            self._fs.put_file(str(local), path)
            return
        partial = f"{path}.partial-{secrets.token_hex(4)}"
        self._fs.put_file(str(local), partial)
        Path(partial).replace(path)

    def _paths(self, folder: str) -> list[str]:
        self._fs.invalidate_cache(folder)
        return sorted(str(path) for path in self._fs.find(folder))


@lru_cache(maxsize=8192)
def _manifest(fs: AbstractFileSystem, path: str) -> SnapshotManifest:
    """Read a manifest; kept, since manifests never change."""
    manifest = msgspec.json.decode(fs.cat_file(path), type=SnapshotManifest)
    return msgspec.structs.replace(manifest, name=path)


def _file_system(url: str) -> tuple[AbstractFileSystem, str]:
    try:
        found: tuple[Any, str] = fsspec.url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"snapshots cannot be kept at {url}: {error}",
            hint="install the package that fsspec needs for it (s3fs for s3:, gcsfs for gs:), "
            "or correct UIC_SNAPSHOT_URL",
        ) from error
    return found


def _protocols(fs: AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
