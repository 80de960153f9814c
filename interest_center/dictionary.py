"""Texts of hashed item and category ids: written once, looked up for people."""

from collections.abc import Iterable

from interest_center.core.ids import is_hashed
from interest_center.core.keys import dictionary_key
from interest_center.core.protocols import Store
from interest_center.core.records import decode_text

#: Texts remembered as written; beyond it they are written again, which changes nothing.
KNOWN_TEXTS = 200_000


class Dictionary:
    """The dictionary records of a partition, with what is not written yet.

    Args:
        store: Store of the partition.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[int, str] = {}
        self.pending: dict[int, str] = {}

    def add(self, texts: dict[int, str]) -> None:
        """Note texts for the next checkpoint, unless they are known to be written."""
        known = self._known
        self.pending.update({i: text for i, text in texts.items() if i not in known})

    def written(self) -> None:
        """Note that a checkpoint has written the pending texts."""
        self._remember(self.pending)
        self.pending = {}

    def texts_of(self, ids: Iterable[int]) -> dict[int, str]:
        """Return the texts of those ids that have one."""
        texts: dict[int, str] = {}
        unknown = []
        for identifier in {i for i in ids if is_hashed(i)}:
            text = self.pending.get(identifier) or self._known.get(identifier)
            if text is None:
                unknown.append(identifier)
            else:
                texts[identifier] = text
        records = self._store.get_many([dictionary_key(i) for i in unknown])
        read = {
            i: decode_text(record)
            for i, record in zip(unknown, records, strict=True)
            if record is not None
        }
        self._remember(read)
        return texts | read

    def _remember(self, texts: dict[int, str]) -> None:
        """Keep texts that are in the store."""
        if len(self._known) + len(texts) > KNOWN_TEXTS:
            self._known = {}
        self._known.update(texts)
