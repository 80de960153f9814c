"""Every record survives its round trip, and no changed bit or byte is taken for a record."""

import base64
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from factories import DecayUpdater, make_batch, make_center, make_event, make_history, small_config
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.interest_state import Event

from interest_center.core.errors import CorruptRecordError, StateMismatchError
from interest_center.core.journal_records import decode_journal, decode_written
from interest_center.core.keys import META_KEY, user_key
from interest_center.core.layout import READ_VERSIONS
from interest_center.core.records import (
    decode_memory,
    decode_meta,
    decode_profile,
    decode_subsequence,
    decode_text,
    encode_text,
)
from interest_center.row_checksum import crc32_words
from interest_center.stores.memory import MemoryStore

DECODERS: dict[bytes, Callable[[bytes], object]] = {
    b"p": decode_profile,
    b"s": decode_subsequence,
    b"m": decode_memory,
    b"d": decode_text,
    b"M": decode_meta,
    b"j": decode_journal,
    b"w": decode_written,
}


def stored_records() -> dict[bytes, bytes]:
    """Return one record of each kind, as a checkpoint wrote it."""
    store = MemoryStore()
    center = make_center(store, small_config()[0], DecayUpdater())
    center.apply(make_batch(make_history(31, 60, n_users=2), texts={(1 << 63) + 1: "shoes é"}))
    center.settle()
    center.apply(make_batch([make_event(1), make_event(2, erase=True)], 60))
    center.checkpoint()
    records = {key[9:10]: value for key, value in store.scan_prefix(b"u")}
    records[b"d"] = next(value for _, value in store.scan_prefix(b"d"))
    records |= {kind: next(store.scan_prefix(kind))[1] for kind in (b"j", b"w")}
    records[b"M"] = store.get_many([META_KEY])[0] or b""
    return records


RECORDS = stored_records()
LAYOUT_BYTE = 3
GOLDEN_STATES = Path(__file__).parents[1] / "golden" / "states"


@pytest.mark.parametrize("kind", sorted(DECODERS))
def test_every_changed_bit_is_refused(kind: bytes) -> None:
    record = RECORDS[kind]
    DECODERS[kind](record)
    for bit in range(8 * len(record)):
        changed = bytearray(record)
        changed[bit // 8] ^= 1 << (bit % 8)
        # A meta record of another layout is a copy to be set aside, not damage.
        other_layout = kind == b"M" and changed[LAYOUT_BYTE] not in READ_VERSIONS
        with pytest.raises(StateMismatchError if other_layout else CorruptRecordError):
            DECODERS[kind](bytes(changed))


@pytest.mark.parametrize(("kind", "sub"), [(b"p", 0), (b"s", 5)])
def test_every_changed_bit_of_layout_2_is_refused(kind: bytes, sub: int) -> None:
    stored = json.loads((GOLDEN_STATES / "layout_2.json").read_text())
    record = base64.b64decode(stored[user_key(1, kind, sub).hex()])
    decode = DECODERS[kind]
    decode(record)
    for bit in range(8 * len(record)):
        changed = bytearray(record)
        changed[bit // 8] ^= 1 << (bit % 8)
        if changed[LAYOUT_BYTE] != 1:  # Of layout 1, which draws these records alike.
            with pytest.raises(CorruptRecordError):
                decode(bytes(changed))


@pytest.mark.parametrize("kind", sorted(DECODERS))
def test_every_other_length_and_kind_is_refused(kind: bytes) -> None:
    record = RECORDS[kind]
    for n in range(len(record)):
        with pytest.raises(CorruptRecordError):
            DECODERS[kind](record[:n])
    with pytest.raises(CorruptRecordError):
        DECODERS[kind](record + bytes(8))
    for other in DECODERS.keys() - {kind}:
        with pytest.raises(CorruptRecordError):
            DECODERS[other](record)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), kind=st.sampled_from(sorted(DECODERS)))
def test_random_bytes_are_refused(data: bytes, kind: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        DECODERS[kind](data)


@pytest.mark.parametrize("kind", [b"p", b"s", b"m"])
def test_the_engine_refuses_what_the_decoder_refuses(kind: bytes) -> None:
    store = MemoryStore()
    config = small_config()[0]
    center = make_center(store, config, DecayUpdater())
    events = make_history(32, 40, n_users=1, n_categories=1, erased_share=0)
    center.apply(make_batch(events))
    center.settle()
    key, record = next(pair for pair in store.scan_prefix(b"u") if pair[0][9:10] == kind)
    for at in range(0, 8 * len(record), 7):
        changed = bytearray(record)
        changed[at // 8] ^= 1 << (at % 8)
        store.write([(key, bytes(changed))], [])
        cold = make_center(store, config, DecayUpdater())
        with pytest.raises(CorruptRecordError):
            cold.apply(make_batch([Event(1, 1, 1, events[-1].event_time_ms, 1)], 40))


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=400))
def test_the_compiled_checksum_is_that_of_zlib(data: bytes) -> None:
    data = data[: len(data) // 8 * 8]
    words = np.frombuffer(data, np.uint64)
    half = len(words) // 2
    before = np.uint64(crc32_words(words, 0, half, np.uint64(0)))
    assert crc32_words(words, half, len(words), before) == zlib.crc32(data)


@given(text=st.text(max_size=300))
def test_texts_survive(text: str) -> None:
    assert decode_text(encode_text(text)) == text


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), n_events=st.integers(1, 300))
def test_rows_survive_the_store(seed: int, n_events: int) -> None:
    """Load every record into rows, change nothing, and encode it again: the same bytes."""
    config = small_config()[0]
    store = MemoryStore()
    center = make_center(store, config, DecayUpdater())
    center.apply(make_batch(make_history(seed, n_events)))
    center.checkpoint()
    cold = make_center(store, config, DecayUpdater())
    users, categories = range(1, 12), range(1, 9)
    stored = cold.read(users, categories)
    touching = [Event(u, 1, 0, 0, category) for u in users for category in categories]
    cold._loader.columns(make_batch(touching).events, cold._scanner.rules, cold.checkpoint)
    hot = cold.read(users, categories)
    assert cold._hot.users.n_free == cold._hot.users.capacity - len(users)
    assert hot.states == stored.states
