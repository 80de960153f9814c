"""RocksDB store of one partition: one column family, write-ahead log, one atomic batch a write."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    Checkpoint,
    DbClosedError,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
)

from interest_center.core.errors import DamagedStoreError, StoreError

#: Shared by every partition of the process, so that memory does not grow with partitions.
BLOCK_CACHE_BYTES = 128 << 20
ALL_WRITE_BUFFERS_BYTES = 384 << 20
#: The larger, the fewer times a record is written again on its way down the levels.
WRITE_BUFFER_BYTES = 64 << 20


@cache
def _block_cache() -> Cache:
    """Return the block cache of this process."""
    return Cache(BLOCK_CACHE_BYTES)


@cache
def _write_buffers() -> WriteBufferManager:
    """Return what bounds the write buffers of this process."""
    return WriteBufferManager(ALL_WRITE_BUFFERS_BYTES, allow_stall=False)


def _options() -> Options:
    """Return options for point reads of small records and modest memory."""
    table = BlockBasedOptions()
    table.set_bloom_filter(10, False)
    table.set_block_cache(_block_cache())
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(3)
    options.set_write_buffer_manager(_write_buffers())
    options.set_level_compaction_dynamic_level_bytes(True)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(2)
    return options


class RocksStore:
    """A ``Store`` (see ``core/protocols.py``) in a directory, locked by the process that opens it.

    Args:
        directory: Made when it does not exist.
        read_only: Open an existing copy without the lock and without changing its data files.

    Raises:
        StoreError: The directory is locked by another process.
        DamagedStoreError: Its files are damaged.
    """

    def __init__(self, directory: Path, read_only: bool = False) -> None:
        self._directory = directory
        access = AccessType.read_only() if read_only else AccessType.read_write()
        if not read_only:
            directory.mkdir(parents=True, exist_ok=True)
        with self._our_errors("open"):
            self._db = Rdict(str(directory), options=_options(), access_type=access)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, None where there is none."""
        if not keys:
            return []
        with self._our_errors("read"):
            values: list[bytes | None] = self._db.get(list(keys))  # type: ignore[assignment]
            return values

    def scan_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys that begin with ``prefix``, in order, with their values."""
        with self._our_errors("read"):
            cursor = self._db.iter(ReadOptions())
            cursor.seek(prefix)
            while cursor.valid():
                key: bytes = cursor.key()
                if not key.startswith(prefix):
                    break
                yield key, cursor.value()
                cursor.next()
            cursor.status()

    def compact(self) -> None:
        """Write everything that is in memory to files, and every old version out of them."""
        with self._our_errors("compact"):
            self._db.flush()
            self._db.compact_range(None, None)

    def write(self, puts: Iterable[tuple[bytes, bytes]], deletes: Iterable[bytes]) -> None:
        """Apply all deletes, then all puts, as one atomic batch that survives a kill."""
        with self._our_errors("write"):
            batch = WriteBatch(raw_mode=True)
            for key in deletes:
                batch.delete(key)
            for key, value in puts:
                batch.put(key, value)
            self._db.write(batch)

    def checkpoint(self, directory: Path) -> None:
        """Make a consistent copy by hard links in ``directory``, which must not exist."""
        with self._our_errors("copy"):
            # A copy flushes by itself, but then with the interpreter's lock held all the while.
            self._db.flush()
            Checkpoint(self._db).create_checkpoint(str(directory))

    def close(self) -> None:
        """Release files and locks; a second call does nothing."""
        with self._our_errors("close"):
            self._db.close()

    @contextmanager
    def _our_errors(self, doing: str) -> Iterator[None]:
        """Turn the binding's errors, which are bare ``Exception``, into ours."""
        try:
            yield
        except DbClosedError as error:
            if doing != "close":
                raise StoreError(f"cannot {doing} {self._directory}: it is closed") from error
        except Exception as error:
            if type(error) is not Exception:
                raise
            raise _store_error(doing, self._directory, str(error)) from error


def _store_error(doing: str, directory: Path, text: str) -> StoreError:
    """Say what happened to the store and the way out."""
    if "lock" in text.lower() and "IO error" in text:
        return StoreError(
            f"store {directory} is locked by another process",
            hint="stop the other worker, or give this one its own UIC_STATE_DIR",
        )
    if "Corruption" in text or "does not exist" in text or "missing" in text:
        return DamagedStoreError(
            f"store {directory} is damaged: {text}",
            hint="move the directory away; the worker then starts from a snapshot or the topic",
        )
    if "No space left" in text:
        return StoreError(
            f"cannot {doing} store {directory}: {text}",
            hint="make room and start the worker again: it goes on where its last checkpoint is",
        )
    return StoreError(f"cannot {doing} store {directory}: {text}")
