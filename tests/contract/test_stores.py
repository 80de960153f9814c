"""Every store keeps the same promises: one suite over the real one and the one in memory."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interest_center.core.errors import DamagedStoreError, StoreError
from interest_center.core.protocols import Store
from interest_center.stores.memory import MemoryStore
from interest_center.stores.rocksdb import RocksStore

Opener = Callable[[Path], Store]


def open_memory(directory: Path) -> Store:
    return MemoryStore(directory if directory.exists() else None)


@pytest.fixture(params=[RocksStore, open_memory], ids=["rocksdb", "memory"])
def opener(request: pytest.FixtureRequest) -> Opener:
    made: Opener = request.param
    return made


@pytest.fixture
def store(opener: Opener, tmp_path: Path) -> Iterator[Store]:
    opened = opener(tmp_path / "store")
    yield opened
    opened.close()


def test_reads_back_what_was_written_and_none_for_the_rest(store: Store) -> None:
    store.write([(b"a", b"1"), (b"b", b""), (b"\x00\xff", b"\x00")], [])
    assert store.get_many([b"b", b"a", b"missing", b"\x00\xff", b"a"]) == [
        b"",
        b"1",
        None,
        b"\x00",
        b"1",
    ]
    assert store.get_many([]) == []


def test_a_batch_deletes_before_it_puts(store: Store) -> None:
    store.write([(b"a", b"1"), (b"b", b"2")], [])
    store.write([(b"a", b"3")], [b"a", b"b", b"never there"])
    assert store.get_many([b"a", b"b"]) == [b"3", None]


def test_a_batch_that_fails_half_way_changes_nothing(store: Store) -> None:
    store.write([(b"a", b"1")], [])

    def puts() -> Iterator[tuple[bytes, bytes]]:
        yield b"a", b"2"
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        store.write(puts(), [b"a"])
    assert store.get_many([b"a"]) == [b"1"]


def test_a_prefix_scan_is_ordered_and_stops_at_the_prefix(store: Store) -> None:
    store.write([(key, key) for key in (b"ub2", b"ua", b"ub", b"uc", b"ub1", b"v")], [])
    assert list(store.scan_prefix(b"ub")) == [(b"ub", b"ub"), (b"ub1", b"ub1"), (b"ub2", b"ub2")]
    assert list(store.scan_prefix(b"x")) == []


def test_a_copy_is_complete_and_does_not_follow_the_original(
    store: Store, opener: Opener, tmp_path: Path
) -> None:
    store.write([(b"%d" % i, b"x" * 100) for i in range(1000)], [])
    store.checkpoint(tmp_path / "copy")
    store.write([(b"later", b"1")], [b"7"])
    copy = opener(tmp_path / "copy")
    assert copy.get_many([b"7", b"999", b"later"]) == [b"x" * 100, b"x" * 100, None]
    copy.close()


def test_a_copy_needs_a_directory_of_its_own(store: Store, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(StoreError):
        store.checkpoint(tmp_path / "taken")


def test_a_closed_store_refuses_and_may_be_closed_again(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.get_many([b"a"])
    with pytest.raises(StoreError, match="closed"):
        store.write([(b"a", b"1")], [])


def test_rocksdb_is_there_again_after_it_was_closed(tmp_path: Path) -> None:
    first = RocksStore(tmp_path / "store")
    first.write([(b"a", b"1")], [])
    assert dict(first.scan_prefix(b"")) == {b"a": b"1"}
    first.close()
    second = RocksStore(tmp_path / "store")
    assert second.get_many([b"a"]) == [b"1"]
    second.close()


def test_rocksdb_says_that_it_is_locked(tmp_path: Path) -> None:
    first = RocksStore(tmp_path / "store")
    with pytest.raises(StoreError, match="locked by another process"):
        RocksStore(tmp_path / "store")
    first.close()


def test_rocksdb_says_that_it_is_damaged(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "store")
    store.write([(b"a", b"1")], [])
    store.close()
    (tmp_path / "store" / "CURRENT").write_text("garbage")
    with pytest.raises(DamagedStoreError, match="damaged"):
        RocksStore(tmp_path / "store")


def test_rocksdb_read_only_needs_no_lock_and_refuses_writes(tmp_path: Path) -> None:
    owner = RocksStore(tmp_path / "store")
    owner.write([(b"a", b"1")], [])
    reader = RocksStore(tmp_path / "store", read_only=True)
    assert reader.get_many([b"a"]) == [b"1"]
    with pytest.raises(StoreError, match="write"):
        reader.write([(b"a", b"2")], [])
    reader.close()
    owner.close()
    with pytest.raises(StoreError):
        RocksStore(tmp_path / "nothing", read_only=True)
