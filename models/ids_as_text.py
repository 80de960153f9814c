"""Ids of a report as people wrote them: a state holds 64 bits, the tables hold the text."""

from collections.abc import Callable, Iterable
from pathlib import Path

from interest_center.core.ids import encode_id, is_hashed
from models.columns import read_columns

_COLUMNS = ("item_id", "category_id", "trigger_item_id", "trigger_category_id")

#: Turns 64 bits into what a person reads.
IdText = Callable[[int], str]


def ids_as_text(tables: Iterable[Path]) -> IdText:
    """Return the ids of tables as they were written there, a dash for none.

    Args:
        tables: Event and sample tables.

    Raises:
        ConfigurationError: A table cannot be read.
    """
    texts = {0: "-"}
    for path in tables:
        table = read_columns(path, ())
        for name in _COLUMNS:
            texts |= {encode_id(text): text for text in table.distinct_texts(name)}
    # A number stands for itself; of text that no table holds, the hash is all there is.
    return lambda identifier: texts.get(
        identifier, f"#{identifier:016x}" if is_hashed(identifier) else str(identifier)
    )
