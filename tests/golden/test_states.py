"""State bytes of every released layout: written by that release, read for ever.

A change of bytes needs a new layout version and a new file beside the old one. To write the file of
a new layout: ``python tests/golden/test_states.py VERSION``.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from factories import DecayUpdater, make_batch, make_center, make_event, plain_state
from reference.interest_state import Event

from interest_center.core.events import OP_ERASE
from interest_center.core.journal_records import decode_journal, decode_written
from interest_center.core.keys import META_KEY, journal_key, written_key
from interest_center.core.layout import LAYOUT_VERSION, StateConfig
from interest_center.core.records import (
    decode_memory,
    decode_meta,
    decode_profile,
    decode_subsequence,
    decode_text,
    memory_head,
)
from interest_center.stores.memory import MemoryStore

STATES = Path(__file__).parent / "states"
SHOE = (1 << 63) + 12345
# By the plain twin: chained hash of user 1, memory of the other one.
CHAIN = "037aa7659c8d6bcc"
MEMORY = [2737.084228515625, 5474.46875, 8211.853515625, 10949.23828125, 13686.623046875]


CONFIG = StateConfig(n_behaviors=4, n_event_ids=3)


def history() -> list[Event]:
    """Return the events that layout 1 was written from."""
    events = [
        make_event(
            user,
            item,
            event_hash=1000 + item,
            event_time_ms=1_700_000_000_000 + item,
            category=item % 3 * 5,
            event_type=1 + item % 7,
        )
        for user in (1, 2**64 - 1)
        for item in range(1, 11)
    ]
    events.append(make_event(1, SHOE, event_hash=7, event_time_ms=1_700_000_000_500, category=5))
    return events


def later() -> list[Event]:
    """Return the events behind them, which layouts 2 and 3 have in their journal."""
    return [
        make_event(1, 20, event_hash=20, event_time_ms=1_700_000_000_600, category=5),
        make_event(9, erase=True, event_hash=21),
    ]


def written_now() -> dict[str, str]:
    """Return what this release stores of a fixed history, keys in hex, values in base64."""
    store = MemoryStore()
    center = make_center(store, CONFIG, DecayUpdater())
    center.apply(make_batch(history(), texts={SHOE: "red shoe"}))
    center.settle()
    center.apply(make_batch(later(), len(history())))
    center.checkpoint()
    return {key.hex(): base64.b64encode(value).decode() for key, value in store.scan_prefix(b"")}


@pytest.fixture(params=sorted(path.stem for path in STATES.glob("layout_*.json")))
def released(request: pytest.FixtureRequest) -> dict[bytes, bytes]:
    stored: dict[str, Any] = json.loads((STATES / f"{request.param}.json").read_text())
    return {bytes.fromhex(key): base64.b64decode(value) for key, value in stored.items()}


def record(released: dict[bytes, bytes], user: int, kind: bytes, sub: int = 0) -> bytes:
    return released[b"u" + user.to_bytes(8, "big") + kind + sub.to_bytes(8, "big")]


def test_this_release_writes_the_bytes_of_its_layout() -> None:
    expected = json.loads((STATES / f"layout_{LAYOUT_VERSION}.json").read_text())
    assert written_now() == expected


def test_profiles_are_decoded_for_ever(released: dict[bytes, bytes]) -> None:
    profile = decode_profile(record(released, 1, b"p"))
    assert (profile.event_count, profile.last_event_time_ms) == (11, 1_700_000_000_500)
    assert profile.item.tolist() == [8, 9, 10, SHOE]
    assert profile.category.tolist() == [10, 0, 5, 5]
    assert profile.event_type.tolist() == [2, 3, 4, 1]
    assert profile.event_time_ms.tolist() == [1_700_000_000_000 + i for i in (8, 9, 10, 500)]
    assert profile.event_ids.tolist() == [1009, 1010, 7]
    assert profile.type_counts == {1: 2, 2: 2, 3: 2, 4: 2, 5: 1, 6: 1, 7: 1}
    assert f"{profile.chain_hash:016x}" == CHAIN
    assert sorted(profile.directory.category.tolist()) == [5, 10]


def test_subsequences_are_decoded_for_ever(released: dict[bytes, bytes]) -> None:
    behaviors = decode_subsequence(record(released, 1, b"s", 5))
    assert behaviors.item.tolist() == [1, 4, 7, 10, SHOE]
    assert behaviors.category.tolist() == [5] * 5
    assert behaviors.event_type.tolist() == [2, 5, 1, 4, 1]


def test_memories_are_decoded_for_ever(released: dict[bytes, bytes]) -> None:
    memory = record(released, 2**64 - 1, b"m", 0xFEED)
    assert memory_head(memory) == (0xFEED, 9)
    assert np.array_equal(decode_memory(memory), np.array(MEMORY, np.float32))


def test_meta_and_texts_are_decoded_for_ever(released: dict[bytes, bytes]) -> None:
    meta = decode_meta(released[META_KEY])
    applied = (21, 21) if meta.layout_version == 1 else (23, 22)
    assert (meta.watermark, meta.counters.applied) == applied
    assert meta.memory_fingerprint == 0xFEED
    assert meta.identity.topic == "events"
    assert decode_text(released[b"d" + SHOE.to_bytes(8, "big")]) == "red shoe"


def test_the_journal_is_decoded_for_ever(released: dict[bytes, bytes]) -> None:
    if decode_meta(released[META_KEY]).journal_events == 0:
        return
    piece = decode_journal(released[journal_key(21)])
    assert (piece.start_position, piece.end_position) == (21, 23)
    assert piece.events["user"].tolist() == [1, 9]
    assert piece.events["op"].tolist() == [0, OP_ERASE]
    assert piece.events["item"].tolist()[0] == 20
    position, users = decode_written(released[written_key(23, 1)])
    assert (position, users.tolist()) == (23, [9])


def test_a_copy_of_any_layout_is_gone_on_with(released: dict[bytes, bytes]) -> None:
    store, twin = MemoryStore(), MemoryStore()
    store.write(released.items(), ())
    center = make_center(store, CONFIG, DecayUpdater())
    whole = make_center(twin, CONFIG, DecayUpdater())
    assert center.memory_from == 0
    events = [*history(), *later(), make_event(1, 30, event_hash=30, category=10)]
    center.apply(make_batch(events[center.watermark :], center.watermark))
    whole.apply(make_batch(events, texts={SHOE: "red shoe"}))
    center.settle()
    whole.settle()
    if decode_meta(released[META_KEY]).layout_version == LAYOUT_VERSION:
        assert dict(store.scan_prefix(b"")) == dict(twin.scan_prefix(b""))
    asked = ([1, 9, 2**64 - 1], [5, 10])
    for ours, theirs in zip(center.read(*asked).states, whole.read(*asked).states, strict=True):
        assert plain_state(ours) == plain_state(theirs)


if __name__ == "__main__":
    path = STATES / f"layout_{sys.argv[1]}.json"
    path.write_text(json.dumps(written_now(), indent=1) + "\n")
