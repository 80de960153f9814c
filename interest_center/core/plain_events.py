"""Compiled reading of plain events: most records are plain, and cost no Python at all.

What is not plain is left to ``event_decoder``, which decides about every record by itself: plain is
less than good. A record is plain when its key is ASCII, no header makes it a CloudEvent, and its
value is nothing, or one JSON object in printable ASCII without escapes, of known fields, each there
once and within its bounds, numbers without signs and exponents. A plain record gives the very row
that ``event_decoder`` gives.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interest_center.core.blake2b import SCRATCH_WORDS, digest
from interest_center.core.compiled import Index, compiled
from interest_center.core.events import (
    EARLIEST_TIME_MS,
    EVENT_DTYPE,
    LATEST_TIME_MS,
    MAX_ID_CHARS,
    MAX_PAGE,
    OP_ERASE,
    OP_EVENT,
)
from interest_center.core.ids import TOP_BIT
from interest_center.core.packed_records import (
    HEADERS_START,
    KEY_END,
    KEY_START,
    N_HEADERS,
    OFFSET,
    TIME_MS,
    VALUE_END,
    VALUE_START,
    find_bytes,
)

#: Fields of an event; a field's number is its place here.
_NAMES = (
    b"event_id",
    b"user_id",
    b"item_id",
    b"event_type",
    b"event_time_ms",
    b"category_id",
    b"page",
    b"trigger_item_id",
    b"price",
)
_EVENT_ID, _USER_ID, _ITEM_ID, _EVENT_TYPE, _EVENT_TIME, _CATEGORY_ID, _PAGE, _TRIGGER, _PRICE = (
    range(len(_NAMES))
)
_N_REQUIRED = 5
_NAME_BYTES = np.frombuffer(b"".join(_NAMES), np.uint8)
_NAME_ENDS = np.cumsum([len(name) for name in _NAMES])
_TEXT, _NUMBER, _NULL = 1, 2, 3
_TOP_BIT = np.uint64(TOP_BIT)
#: More digits may not fit into 63 bits; such a decimal below 2**63 is left to the decoder.
_SURE_DIGITS = 18
#: A price with fewer digits before the point is below its bound.
_PRICE_DIGITS = 12
_PREFIX = np.frombuffer(b"ce_", np.uint8)
_CONTENT_TYPE = np.frombuffer(b"content-type", np.uint8)

_QUOTE, _BACKSLASH, _COMMA, _COLON, _POINT = (np.uint8(ord(c)) for c in '"\\,:.')
_OPEN, _CLOSE = np.uint8(ord("{")), np.uint8(ord("}"))
_ZERO, _NINE = np.uint8(ord("0")), np.uint8(ord("9"))
_NULL_BYTES = np.frombuffer(b"null", np.uint8)


class PlainRules(NamedTuple):
    """What a good event of one partition is.

    Attributes:
        partition: Number of the partition.
        n_partitions: Of the topic.
        type_bytes: Names of the event types, one behind the other, uint8.
        type_ends: Where each ends.
        future_tolerance_ms: How far an event may be ahead of its append time.
        max_event_bytes: Longest value.
    """

    partition: int
    n_partitions: int
    type_bytes: NDArray[np.uint8]
    type_ends: NDArray[np.int64]
    future_tolerance_ms: int
    max_event_bytes: int


class Work(NamedTuple):
    """What a reading works in; one of each thread.

    Attributes:
        fields: Kind, begin and end of each field of an event, int64 ``[9, 3]``.
        scratch: For digests.
    """

    fields: NDArray[np.int64]
    scratch: NDArray[np.uint64]


class PlainRows(NamedTuple):
    """Rows of plain records; arrays of one entry a record.

    Attributes:
        is_plain: Whether the record is plain; else the other entries mean nothing.
        events: Rows, of ``EVENT_DTYPE``.
        texts: Where the text of the item id and that of the category id lie, ``[n, 4]``.
    """

    is_plain: NDArray[np.bool_]
    events: NDArray[np.void]
    texts: NDArray[np.int64]


def new_work() -> Work:
    """Return what a reading works in."""
    return Work(np.zeros((len(_NAMES), 3), np.int64), np.zeros(SCRATCH_WORDS, np.uint64))


def new_rows(n: int) -> PlainRows:
    """Return rows of records of which nothing is known yet."""
    return PlainRows(np.zeros(n, np.bool_), np.zeros(n, EVENT_DTYPE), np.zeros((n, 4), np.int64))


@compiled
def _is_same(
    data: NDArray[np.uint8], start: Index, other: NDArray[np.uint8], at: Index, n: Index
) -> bool:
    """Tell whether ``n`` bytes from ``start`` on are those of another array from ``at`` on."""
    same = 0
    for i in range(n):
        same += data[start + i] == other[at + i]
    return same == n


@compiled
def _number_of(
    data: NDArray[np.uint8],
    start: Index,
    end: Index,
    names: NDArray[np.uint8],
    ends: NDArray[np.int64],
) -> Index:
    """Return which of names that lie one behind the other ``data[start:end]`` is, -1 for none."""
    begin = np.int64(0)
    for number in range(len(ends)):
        n = ends[number] - begin
        if n == end - start and _is_same(data, start, names, begin, n):
            return number
        begin = ends[number]
    return -1


@compiled
def _skip_space(data: NDArray[np.uint8], at: Index, end: Index) -> Index:
    """Return where the next byte is that JSON does not skip."""
    while at < end and (data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 9):
        at += 1
    return at


@compiled
def _skip_text(data: NDArray[np.uint8], at: Index, end: Index) -> Index:
    """Return where a text ends that begins at ``at``: at its quote; ``end`` if it is not plain."""
    while at < end and data[at] != _QUOTE:
        if data[at] < 32 or data[at] > 126 or data[at] == _BACKSLASH:
            return end
        at += 1
    return at


@compiled
def _is_printable(data: NDArray[np.uint8], start: Index, end: Index) -> bool:
    """Tell whether bytes are printable ASCII."""
    odd = 0
    for i in range(start, end):
        odd += data[i] < 32 or data[i] > 126
    return odd == 0


@compiled
def _skip_digits(data: NDArray[np.uint8], at: Index, end: Index) -> Index:
    """Return where digits end."""
    while at < end and _ZERO <= data[at] <= _NINE:
        at += 1
    return at


@compiled
def _whole_number(data: NDArray[np.uint8], start: Index, end: Index) -> Index:
    """Return a whole number of at most 18 digits; -1 if it is none."""
    if end - start > _SURE_DIGITS or _skip_digits(data, start, end) != end:
        return np.int64(-1)
    number = np.int64(0)
    for i in range(start, end):
        number = number * 10 + np.int64(data[i] - _ZERO)
    return number


@compiled
def _skip_number(data: NDArray[np.uint8], at: Index, end: Index, may_have_point: bool) -> Index:
    """Return where a number ends that begins at ``at``; -1 when it is not plain."""
    start = at
    at = _skip_digits(data, at, end)
    if at == start or (data[start] == _ZERO and at > start + 1):
        return np.int64(-1)
    if at - start > (_PRICE_DIGITS if may_have_point else _SURE_DIGITS):
        return np.int64(-1)
    if may_have_point and at < end and data[at] == _POINT:
        point = at
        at = _skip_digits(data, at + 1, end)
        if at == point + 1:
            return np.int64(-1)
    return at


@compiled
def _read_field(data: NDArray[np.uint8], at: Index, end: Index, fields: NDArray[np.int64]) -> Index:
    """Read a name and its value, that begin at ``at``; return where they end, -1 if not plain."""
    bad = np.int64(-1)
    if at >= end or data[at] != _QUOTE:
        return bad
    name_end = _skip_text(data, at + 1, end)
    number = _number_of(data, at + 1, name_end, _NAME_BYTES, _NAME_ENDS)
    at = _skip_space(data, name_end + 1, end)
    if number < 0 or fields[number, 0] != 0 or at >= end or data[at] != _COLON:
        return bad
    at = _skip_space(data, at + 1, end)
    if at >= end:
        return bad
    field = fields[number]
    if data[at] == _QUOTE:
        field[0], field[1], field[2] = _TEXT, at + 1, _skip_text(data, at + 1, end)
        return np.int64(field[2] + 1)
    if at + 4 <= end and _is_same(data, at, _NULL_BYTES, 0, 4):
        field[0], field[1], field[2] = _NULL, at, at + 4
    else:
        after = _skip_number(data, at, end, number == _PRICE)
        field[0], field[1], field[2] = _NUMBER, at, after
    return np.int64(field[2])


@compiled
def _find_fields(
    data: NDArray[np.uint8], start: Index, end: Index, fields: NDArray[np.int64]
) -> bool:
    """Find the fields of one JSON object; False when it is not plain.

    Args:
        data: Where it lies.
        start: Where it begins.
        end: Where it ends.
        fields: Filled for each field: what it is (0: not there), where it begins, where it ends.
    """
    fields[:, 0] = 0
    at = _skip_space(data, start, end)
    if at >= end or data[at] != _OPEN:
        return False
    while True:
        at = _read_field(data, _skip_space(data, at + 1, end), end, fields)
        if at < 0:
            return False
        at = _skip_space(data, at, end)
        if at >= end:
            return False
        if data[at] == _CLOSE:
            return _skip_space(data, at + 1, end) == end
        if data[at] != _COMMA:
            return False


@compiled
def _fields_fit(fields: NDArray[np.int64]) -> bool:
    """Tell whether every field is of its kind, and every text of a length that an id may have."""
    for number in range(len(fields)):
        kind, length = fields[number, 0], fields[number, 2] - fields[number, 1]
        if kind == 0 or kind == _NULL:
            if number < _N_REQUIRED:
                return False
        elif number in (_EVENT_TIME, _PAGE, _PRICE):
            if kind != _NUMBER:
                return False
        elif kind != _TEXT or not 1 <= length <= MAX_ID_CHARS:
            return False
    return True


@compiled
def _id_of(
    data: NDArray[np.uint8], start: Index, end: Index, scratch: NDArray[np.uint64]
) -> np.uint64:
    """Return the 64 bits of an id (``ids.encode_id``), 0 when its decimal may be too large."""
    if data[start] != _ZERO and _skip_digits(data, start, end) == end:
        if end - start <= _SURE_DIGITS:
            return np.uint64(_whole_number(data, start, end))
        if end - start == _SURE_DIGITS + 1:
            return np.uint64(0)
    return digest(data, start, end, scratch) | _TOP_BIT


@compiled
def _partition_of(data: NDArray[np.uint8], start: Index, end: Index, n_partitions: Index) -> Index:
    """Return the partition of a key, as ``ids.partition_of``."""
    magic, mask = np.uint64(0x5BD1E995), np.uint64(0xFFFFFFFF)
    h = np.uint64(0x9747B28C) ^ np.uint64(end - start)
    at = start
    while at + 4 <= end:
        k = np.uint64(0)
        for byte in range(4):
            k |= np.uint64(data[at + byte]) << np.uint64(8 * byte)
        k = (k * magic) & mask
        k ^= k >> np.uint64(24)
        k = (k * magic) & mask
        h = ((h * magic) & mask) ^ k
        at += 4
    if at < end:
        tail = np.uint64(0)
        for byte in range(end - at):
            tail |= np.uint64(data[at + byte]) << np.uint64(8 * byte)
        h ^= tail
        h = (h * magic) & mask
    h ^= h >> np.uint64(13)
    h = (h * magic) & mask
    h ^= h >> np.uint64(15)
    return np.int64(h & np.uint64(0x7FFFFFFF)) % n_partitions


@compiled
def _may_be_cloud_event(data: NDArray[np.uint8], place: NDArray[np.int64]) -> bool:
    """Tell whether a header has a name that CloudEvents use."""
    at, end = place[HEADERS_START], np.int64(len(data))
    for _ in range(place[N_HEADERS]):
        name, at = find_bytes(data, at, end)
        n = at - name
        if n >= 3 and _is_same(data, name, _PREFIX, 0, 3):
            return True
        if n == len(_CONTENT_TYPE):
            same = 0
            for i in range(n):
                same += (data[name + i] | np.uint8(32)) == (_CONTENT_TYPE[i] | np.uint8(32))
            if same == n:
                return True
        _, at = find_bytes(data, at, end)
    return False


@compiled
def _read_event(
    data: NDArray[np.uint8],
    place: NDArray[np.int64],
    rules: PlainRules,
    work: Work,
    event: np.void,
) -> bool:
    """Fill a row with what the value of a record says; False when it is not plain."""
    fields, start, end = work.fields, place[VALUE_START], place[VALUE_END]
    if end - start > rules.max_event_bytes or _may_be_cloud_event(data, place):
        return False
    if not _find_fields(data, start, end, fields) or not _fields_fit(fields):
        return False
    key, n = place[KEY_START], place[KEY_END] - place[KEY_START]
    if fields[_USER_ID, 2] - fields[_USER_ID, 1] != n:
        return False
    if not _is_same(data, fields[_USER_ID, 1], data, key, n):
        return False
    time_ms = _whole_number(data, fields[_EVENT_TIME, 1], fields[_EVENT_TIME, 2])
    latest = min(LATEST_TIME_MS, place[TIME_MS] + rules.future_tolerance_ms)
    page: Index = 0
    if fields[_PAGE, 0] == _NUMBER:
        page = _whole_number(data, fields[_PAGE, 1], fields[_PAGE, 2])
    kind = _number_of(
        data, fields[_EVENT_TYPE, 1], fields[_EVENT_TYPE, 2], rules.type_bytes, rules.type_ends
    )
    if not EARLIEST_TIME_MS <= time_ms <= latest or page > MAX_PAGE or kind < 0:
        return False
    item = _id_of(data, fields[_ITEM_ID, 1], fields[_ITEM_ID, 2], work.scratch)
    category = np.uint64(0)
    if fields[_CATEGORY_ID, 0] == _TEXT:
        category = _id_of(data, fields[_CATEGORY_ID, 1], fields[_CATEGORY_ID, 2], work.scratch)
        if category == 0:
            return False
    if item == 0:
        return False
    event["event_time_ms"] = time_ms
    event["item"] = item
    event["category"] = category
    event["event_hash"] = digest(data, fields[_EVENT_ID, 1], fields[_EVENT_ID, 2], work.scratch)
    event["event_type"] = 1 + kind
    event["op"] = OP_EVENT
    return True


@compiled
def _read_record(
    data: NDArray[np.uint8],
    place: NDArray[np.int64],
    rules: PlainRules,
    work: Work,
    event: np.void,
) -> bool:
    """Fill the row of a record, which is all zero; False when it is not plain."""
    start, end = place[KEY_START], place[KEY_END]
    if start < 0 or not 1 <= end - start <= MAX_ID_CHARS or not _is_printable(data, start, end):
        return False
    if _partition_of(data, start, end, rules.n_partitions) != rules.partition:
        return False
    user = _id_of(data, start, end, work.scratch)
    if user == 0:
        return False
    event["offset"] = place[OFFSET]
    event["append_time_ms"] = place[TIME_MS]
    event["user"] = user
    if place[VALUE_START] < 0:
        event["op"] = OP_ERASE
        return True
    return _read_event(data, place, rules, work, event)


@compiled
def read_plain(
    data: NDArray[np.uint8],
    places: NDArray[np.int64],
    rules: PlainRules,
    work: Work,
    rows: PlainRows,
) -> None:
    """Fill the rows of all plain records.

    Args:
        data: Bytes of the records.
        places: Where each record lies, ``[n, N_PLACE]``.
        rules: What a good event is.
        work: To work in.
        rows: Filled; the events are all zero before.
    """
    for i in range(len(places)):
        rows.is_plain[i] = _read_record(data, places[i], rules, work, rows.events[i])
        texts = rows.texts[i]
        texts[0], texts[1] = work.fields[_ITEM_ID, 1], work.fields[_ITEM_ID, 2]
        texts[2], texts[3] = work.fields[_CATEGORY_ID, 1], work.fields[_CATEGORY_ID, 2]
