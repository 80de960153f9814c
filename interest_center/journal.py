"""The journal: what a checkpoint writes of events whose users' rows are written later.

A store holds rows and a journal. A user's state at the durable watermark is the user's rows, as of
the position at which they were last written, and behind it the user's events in the journal, in
offset order. A piece of the journal goes when all rows have seen it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import MOVE_COPY_AWAY, CorruptRecordError
from interest_center.core.events import EVENT_DTYPE
from interest_center.core.journal_records import (
    JournalPiece,
    decode_journal,
    decode_written,
    encode_journal,
    encode_written,
)
from interest_center.core.keys import JOURNAL_PREFIX, WRITTEN_PREFIX, journal_key, written_key
from interest_center.core.meta import MetaRecord
from interest_center.core.protocols import Store
from interest_center.durable_batch import DurableBatch

#: Replaying an event costs 1, reading a piece so much more: a slow stream has many small ones.
PIECE_COST = 50


class Stored(NamedTuple):
    """What lies in the store.

    Attributes:
        pieces: Start, end and number of events of each piece, in order.
        lists: Position and number of each list of users written, in order.
    """

    pieces: tuple[tuple[int, int, int], ...] = ()
    lists: tuple[tuple[int, int], ...] = ()

    @property
    def n_events(self) -> int:
        """Events in all pieces."""
        return sum(n for _, _, n in self.pieces)

    @property
    def begins_at(self) -> int | None:
        """Start of the first piece; None without any."""
        return self.pieces[0][0] if self.pieces else None


class Journal:
    """The journal of one store.

    Args:
        store: Store of the partition.
        meta: What the stored copy says of itself, None for a new one.

    Raises:
        CorruptRecordError: The journal is damaged, or is not what the meta record says.

    Attributes:
        stored: What lies in the store.
        total_cost: What it would cost to replay all that it ever took.
        n_pending: Events that no checkpoint holds yet.
    """

    def __init__(self, store: Store, meta: MetaRecord | None) -> None:
        self._store = store
        self._pending: list[NDArray[np.void]] = []
        self._start = meta.watermark if meta is not None else 0
        self.stored = self._look() if meta is not None else Stored()
        self._next = self.stored
        self.total_cost = self.n_pending = 0
        if meta is not None and meta.journal_events != self.stored.n_events:
            raise CorruptRecordError(
                f"the journal has {self.stored.n_events} events, "
                f"{meta.journal_events} were written",
                hint=MOVE_COPY_AWAY,
            )

    def _look(self) -> Stored:
        """Learn what is in the store."""
        pieces, lists = [], []
        for _, record in self._store.scan_prefix(JOURNAL_PREFIX):
            piece = decode_journal(record)
            pieces.append((piece.start_position, piece.end_position, len(piece.events)))
        for key, _ in self._store.scan_prefix(WRITTEN_PREFIX):
            lists.append((int.from_bytes(key[1:9], "big"), int.from_bytes(key[9:], "big")))
        return Stored(tuple(pieces), tuple(lists))

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a journal is in the store, and nothing waits for it."""
        return self.stored == Stored() and not self.n_pending

    def unseen(self) -> Iterator[NDArray[np.void]]:
        """Yield the stored events that their users' rows have not seen, in offset order."""
        users, positions = self._last_written()
        for _, record in self._store.scan_prefix(JOURNAL_PREFIX):
            events = decode_journal(record).events
            if len(users):
                at = np.minimum(np.searchsorted(users, events["user"]), len(users) - 1)
                seen = (users[at] == events["user"]) & (events["offset"] < positions[at])
                events = events[~seen]
            yield events

    def _last_written(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the users that were written, in order, and the last position of each."""
        lists = [decode_written(record) for _, record in self._store.scan_prefix(WRITTEN_PREFIX)]
        users = np.concatenate([np.zeros(0, np.uint64), *(users for _, users in lists)])
        positions = np.repeat(
            np.array([position for position, _ in lists], np.int64),
            [len(users) for _, users in lists],
        )
        order = np.lexsort((positions, users))
        users, positions = users[order], positions[order]
        last = np.append(users[1:] != users[:-1], True)[: len(users)]
        return users[last], positions[last]

    def add(self, events: NDArray[np.void]) -> None:
        """Take events that were applied."""
        self._pending.append(events)
        self.n_pending += len(events)
        self.total_cost += len(events)

    def put(
        self,
        batch: DurableBatch,
        watermark: int,
        written: NDArray[np.uint64],
        seen_until: int | None,
    ) -> Stored:
        """Add the journal's part of a checkpoint to a batch, and return what it leaves.

        Args:
            batch: The checkpoint.
            watermark: Of the checkpoint.
            written: Users whose rows the batch writes.
            seen_until: Position that all rows will have seen: what is older goes; None: unknown.
        """
        pieces, lists = self.stored
        if self.n_pending:
            events = np.concatenate([np.zeros(0, EVENT_DTYPE), *self._pending])
            record = encode_journal(JournalPiece(self._start, watermark, events))
            batch.puts[journal_key(self._start)] = record
            pieces = (*pieces, (self._start, watermark, len(events)))
        if len(written):
            number = 1 + max((number for _, number in lists), default=0)
            batch.puts[written_key(watermark, number)] = encode_written(watermark, written)
            lists = (*lists, (watermark, number))
        if seen_until is not None:
            for start, _, _ in (piece for piece in pieces if piece[1] <= seen_until):
                batch.drop(journal_key(start))
            for position, number in (entry for entry in lists if entry[0] <= seen_until):
                batch.drop(written_key(position, number))
            pieces = tuple(piece for piece in pieces if piece[1] > seen_until)
            lists = tuple(entry for entry in lists if entry[0] > seen_until)
        self._next = Stored(pieces, lists)
        return self._next

    def durable(self, watermark: int) -> None:
        """Note that the batch of the last ``put`` is in the store."""
        self.total_cost += PIECE_COST * (self.n_pending > 0)
        self.stored, self._start = self._next, watermark
        self._pending, self.n_pending = [], 0
