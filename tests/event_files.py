"""What TensorBoard shows of a log directory, read by its file format.

A record is ``length (8 bytes) | masked crc of it (4) | bytes | masked crc of them (4)``; a record
that says START with a step hides all that was logged before it of that step and later ones.
"""

import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event, SessionLog

_POLYNOMIAL = 0x82F63B78


def _crc(content: bytes) -> int:
    """Return the masked CRC-32C."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records_of(path: Path) -> Iterator[bytes]:
    """Yield the whole records of a file; what a kill cut off is no record."""
    content, at = path.read_bytes(), 0
    while at + 12 <= len(content):
        length, checked = struct.unpack_from("<QI", content, at)
        record = content[at + 12 : at + 12 + length]
        if at + 16 + length > len(content):
            return
        assert checked == _crc(content[at : at + 8])
        assert struct.unpack_from("<I", content, at + 12 + length)[0] == _crc(record)
        yield record
        at += 16 + length


def scalars_in(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """Return step and value of each scalar that is shown, by tag."""
    shown: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for path in sorted(directory.glob("events.out.tfevents.*")):
        for record in records_of(path):
            event = Event.FromString(record)
            if event.session_log.status == SessionLog.START:
                for tag, found in shown.items():
                    shown[tag] = [point for point in found if point[0] < event.step]
            for value in event.summary.value:
                shown[value.tag].append((event.step, value.simple_value))
    return dict(shown)
