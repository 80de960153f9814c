"""Reads a catalog: a file as a whole, or the records of a compacted topic one after the other.

A file is CSV or parquet with the column ``item_id``, each once, and any of ``category_id``,
``price`` and, in parquet, ``embedding`` (a list of numbers). A record has the item id as its key
and a JSON object of the same fields as its value; the next record of an item replaces it as a
whole, one without a value takes it out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from interest_center.core.errors import BadRequestError, ConfigurationError
from interest_center.core.events import MAX_ID_CHARS, MAX_PRICE, Id
from interest_center.core.ids import encode_id
from models.catalog import Catalog
from models.columns import read_columns


class CatalogItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a record says of an item.

    Attributes:
        category_id: Its category.
        price: Its price, in the unit of the prices that the model was trained on.
        embedding: In the space of the default bundle's item table, of its width.
    """

    category_id: Id | None = None
    price: Annotated[float, Meta(ge=0, le=MAX_PRICE)] | None = None
    embedding: list[float] | None = None


_DECODER = msgspec.json.Decoder(CatalogItem)


def empty_catalog(width: int) -> Catalog:
    """Return a catalog without items, whose embeddings have a width."""
    return Catalog(
        np.zeros(0, np.uint64),
        np.zeros(0, np.uint64),
        np.zeros(0, np.float32),
        np.zeros(0, np.int64),
        np.zeros((0, width), np.float32),
    )


def read_catalog(path: Path, width: int) -> Catalog:
    """Read a file.

    Args:
        path: CSV or parquet.
        width: Of the embeddings.

    Raises:
        ConfigurationError: It cannot be read, or holds what it must not.
    """
    table = read_columns(path, ("item_id",))
    items = table.ids("item_id")
    order = np.argsort(items, kind="stable")
    twice = np.flatnonzero(items[order][1:] == items[order][:-1])
    if len(twice):
        first, second = sorted(order[twice[0] : twice[0] + 2].tolist())
        raise ConfigurationError(
            f"{path} holds an item twice: rows {first + 1} and {second + 1}",
            hint="leave one of them out; row 1 is the first row of data",
        )
    prices = np.full(len(items), np.nan, np.float32)
    if "price" in table:
        prices = table.optional_amounts("price", MAX_PRICE)
    return Catalog.of(
        items,
        table.optional_ids("category_id"),
        prices,
        *table.optional_vectors("embedding", width),
    )


def read_record(
    key: bytes | None, value: bytes | None, width: int
) -> tuple[int, CatalogItem | None]:
    """Read a record: an item's id, and what is said of it, None when it is taken out.

    Args:
        key: The item id, UTF-8.
        value: JSON of a ``CatalogItem``, or None.
        width: Of an embedding.

    Raises:
        BadRequestError: It is wrong; the error names the field.
    """
    try:
        item_id = (key or b"").decode()
    except UnicodeDecodeError as error:
        raise BadRequestError("not UTF-8", "key") from error
    if not 1 <= len(item_id) <= MAX_ID_CHARS:
        raise BadRequestError(f"an item id has 1 to {MAX_ID_CHARS} characters", "key")
    if value is None:
        return encode_id(item_id), None
    try:
        item = _DECODER.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequestError(str(error).lower(), "value") from error
    given = item.embedding
    if given is not None and (len(given) != width or not _all_finite(given)):
        raise BadRequestError(f"expected {width} finite numbers of 32 bits", "embedding")
    return encode_id(item_id), item


def _all_finite(numbers: list[float]) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.isfinite(np.array(numbers, np.float32)).all())


def merged(catalog: Catalog, changes: Mapping[int, CatalogItem | None]) -> Catalog:
    """Return a catalog after some records.

    Args:
        catalog: Before them.
        changes: What the last record of each item says; None: it is taken out.
    """
    ids = np.fromiter(changes, np.uint64, len(changes))
    said = [one for one in changes.values() if one is not None]
    new = ids[[one is not None for one in changes.values()]]
    categories = [0 if one.category_id is None else encode_id(one.category_id) for one in said]
    prices = [np.nan if one.price is None else one.price for one in said]
    vectors = [one.embedding for one in said if one.embedding is not None]
    width = catalog.embeddings.shape[1]
    kept = ~np.isin(catalog.items, ids)
    had = np.zeros(len(catalog.items), np.bool_)
    had[catalog.embedded] = True
    has = np.array([one.embedding is not None for one in said], np.bool_)
    return Catalog.of(
        np.concatenate((catalog.items[kept], new)),
        np.concatenate((catalog.categories[kept], np.array(categories, np.uint64))),
        np.concatenate((catalog.prices[kept], np.array(prices, np.float32))),
        np.concatenate((had[kept], has)),
        np.concatenate(
            (
                catalog.embeddings[kept[catalog.embedded]],
                np.array(vectors, np.float32).reshape(-1, width),
            )
        ),
    )
