r"""Records whose header names are not UTF-8: Kafka takes them, and aiokafka refuses to unpack them.

One such record would stop its partition for ever. So the bytes of a fetch are kept, and where
unpacking fails the fetch is repeated and unpacked here, in Python, with the names' odd bytes shown
as ``\xNN``. Private parts of aiokafka 0.14, held down like those of ``transport.py``.
"""

from typing import Any

from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy


class KeptRecords(MemoryRecords):  # type: ignore[misc]
    """The batches of a fetch, with their bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class _LenientBytes(bytearray):
    """Bytes whose slices decode whatever they hold."""

    def __getitem__(self, where: Any) -> Any:
        part = super().__getitem__(where)
        return _LenientBytes(part) if isinstance(where, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """A batch whose header names are decoded leniently; nothing else of a record is decoded."""

    def _maybe_uncompress(self) -> None:
        if not self._decompressed:
            super()._maybe_uncompress()
            self._buffer: bytearray = _LenientBytes(self._buffer)


class LenientRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of a fetch, unpacked leniently."""

    def next_batch(self, *_: Any) -> Any:
        """Return the next batch, None at the end; formats before version 2 have no headers."""
        following = self._next_slice
        if following is None or following[self.MAGIC_OFFSET] < 2:
            return super().next_batch()
        self._cache_next()
        return _LenientBatch(following)


def keep_fetched_bytes() -> None:
    """Let the fetchers of this process keep what ``unpack_leniently`` needs."""
    aiokafka_fetcher.MemoryRecords = KeptRecords


def unpack_leniently(held: aiokafka_fetcher.FetchResult) -> None:
    """Make a fetch, of which nothing is unpacked yet, be unpacked leniently."""
    records = held._partition_records
    if records is not None and isinstance(records._records, KeptRecords):
        records._records = LenientRecords(records._records.data)
