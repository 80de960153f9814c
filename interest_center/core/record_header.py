"""The header of every stored record: what it is, of which layout, how long, and intact.

All numbers little-endian, the length of users' records and of the journal's a multiple of eight::

    'UI' | kind 1 | layout version 1 | length 4 | CRC-32 4 | zero 4          16 bytes

Length counts the whole record. The CRC covers the first 8 bytes and all that stands behind the
header; in layouts 1 and 2 only the latter.
"""

import struct
import zlib

from interest_center.core.errors import CorruptRecordError
from interest_center.core.layout import LAYOUT_VERSION, READ_VERSIONS

HEADER = struct.Struct("<2sBBIII")
MAGIC = b"UI"
#: The last layout whose checksum leaves the header out.
LAST_UNCHECKED_HEADER = 2
_WHAT = struct.Struct("<2sBBI")
_SUM = struct.Struct("<II")
_VERSION_AT = 3


def seal(kind: int, payload: bytes) -> bytes:
    """Put the header before a payload."""
    what = _WHAT.pack(MAGIC, kind, LAYOUT_VERSION, HEADER.size + len(payload))
    return what + _SUM.pack(zlib.crc32(payload, zlib.crc32(what)), 0) + payload


def unseal(kind: int, record: bytes) -> bytes:
    """Check a record's header and return what stands behind it.

    Raises:
        CorruptRecordError: These are not the bytes of a record of this kind and layout.
    """
    if len(record) < HEADER.size:
        raise CorruptRecordError(f"record of {len(record)} bytes is shorter than a header")
    magic, found, version, length, checksum, zero = HEADER.unpack_from(record)
    if magic != MAGIC or found != kind or zero != 0:
        raise CorruptRecordError(f"not a record of kind {chr(kind)!r}: begins {record[:16].hex()}")
    if version not in READ_VERSIONS:
        raise CorruptRecordError(f"record of layout {version}, this release reads {READ_VERSIONS}")
    payload = record[HEADER.size :]
    before = 0 if version <= LAST_UNCHECKED_HEADER else zlib.crc32(record[: _WHAT.size])
    if length != len(record) or checksum != zlib.crc32(payload, before):
        raise CorruptRecordError(f"record of {len(record)} bytes fails its length or checksum")
    return payload


def layout_of(record: bytes) -> int:
    """Return the layout version of a record that was unsealed."""
    return record[_VERSION_AT]
