"""Catalogs as files and as records."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from interest_center.core.errors import BadRequestError, ConfigurationError
from interest_center.core.ids import encode_id
from ranking.catalog import CatalogItem, empty_catalog, merged, read_catalog, read_record

WIDTH = 2


def told(catalog: object) -> dict[int, tuple[object, ...]]:
    """Return what is said of each item."""
    vectors = dict(zip(catalog.embedded.tolist(), catalog.embeddings.tolist(), strict=True))  # type: ignore[attr-defined]
    columns = (catalog.items, catalog.categories, catalog.prices)  # type: ignore[attr-defined]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {
        item: (category, None if np.isnan(price) else price, vectors.get(place))
        for place, (item, category, price) in enumerate(rows)
    }


def test_a_csv_and_a_parquet_file_say_the_same(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"item_id": ["20", "5", "x"], "category_id": ["7", None, "8"], "price": [1.5, 2.5, None]}
    )
    frame.write_csv(tmp_path / "catalog.csv")
    frame.write_parquet(tmp_path / "catalog.parquet")
    x, none = encode_id("x"), None
    expected = {5: (0, 2.5, none), 20: (7, 1.5, none), x: (8, none, none)}
    for name in ("catalog.csv", "catalog.parquet"):
        assert told(read_catalog(tmp_path / name, WIDTH)) == expected


def test_embeddings_belong_to_their_items(tmp_path: Path) -> None:
    vectors = [[1.0, 2.0], None, [3.0, 4.0]]
    path = tmp_path / "catalog.parquet"
    pl.DataFrame({"item_id": [9, 3, 5], "embedding": vectors}).write_parquet(path)
    found = told(read_catalog(path, WIDTH))
    assert {item: said[2] for item, said in found.items()} == {
        9: [1.0, 2.0],
        3: None,
        5: [3.0, 4.0],
    }


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"category_id": ["1"]}, "item_id"),
        ({"item_id": ["1", "2", "1"]}, "twice: rows 1 and 3"),
        ({"item_id": ["1", None]}, "row 2"),
        ({"item_id": ["1"], "price": [-1.0]}, "price"),
        ({"item_id": ["1"], "embedding": ["1 2"]}, "embedding"),
        ({"item_id": ["1", "2"], "embedding": [[1.0, 2.0], [1.0]]}, "1 numbers in row 2"),
        ({"item_id": ["1", "2"], "embedding": [None, [1.0, float("nan")]]}, "row 2"),
    ],
    ids=["no items", "twice", "no id", "price", "text", "width", "nan"],
)
def test_a_wrong_file_is_refused_with_its_place(
    columns: dict[str, list[object]], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "catalog.parquet"
    pl.DataFrame(columns).write_parquet(path)
    with pytest.raises(ConfigurationError, match=says) as refused:
        read_catalog(path, WIDTH)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value", "field"),
    [
        (None, b"{}", "key"),
        (b"\xff", b"{}", "key"),
        (b"x" * 257, b"{}", "key"),
        (b"1", b"", "value"),
        (b"1", b"[]", "value"),
        (b"1", b'{"price": -1}', "value"),
        (b"1", b'{"colour": "red"}', "value"),
        (b"1", b"[" * 100_000, "value"),
        (b"1", b'{"embedding": [1]}', "embedding"),
        (b"1", b'{"embedding": [1, 1e200]}', "embedding"),
    ],
)
def test_a_wrong_record_is_refused_with_its_field(
    key: bytes | None, value: bytes, field: str
) -> None:
    with pytest.raises(BadRequestError) as refused:
        read_record(key, value, WIDTH)
    assert refused.value.field == field


def test_records_one_by_one_or_together_make_the_same_catalog() -> None:
    rng = np.random.default_rng(5)
    said: dict[int, CatalogItem | None] = {}
    catalog = empty_catalog(WIDTH)
    for _ in range(40):
        changes: dict[int, CatalogItem | None] = {}
        for item in rng.integers(1, 30, rng.integers(1, 6)).tolist():
            fields = {
                "category_id": str(rng.integers(1, 5)),
                "price": float(rng.integers(1, 9)),
                "embedding": rng.integers(0, 9, WIDTH).tolist(),
            }
            kept = {name: value for name, value in fields.items() if rng.random() < 0.6}
            value = json.dumps(kept).encode() if rng.random() < 0.8 else None
            number, read = read_record(str(item).encode(), value, WIDTH)
            changes[number] = read
        catalog = merged(catalog, changes)
        said |= changes
        assert told(catalog) == {
            item: (
                int(one.category_id or 0),
                one.price,
                one.embedding and [float(x) for x in one.embedding],
            )
            for item, one in sorted(said.items())
            if one is not None
        }
    assert told(merged(empty_catalog(WIDTH), said)) == told(catalog)
