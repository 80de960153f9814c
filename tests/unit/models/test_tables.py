"""Tables as users bring them: CSV and parquet, text and numbers, and what is wrong with them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from interest_center.core.errors import ConfigurationError
from interest_center.core.ids import encode_id
from interest_center.core.layout import StateConfig, load_state_config
from models.columns import encode_ids
from models.tables import NO_PAGE, read_events, read_samples

NOW_MS = 1_767_225_600_000
EVENTS = pl.DataFrame(
    {
        "user_id": ["u1", "7", "u1"],
        "item_id": ["12", "abc", "0012"],
        "category_id": ["c", None, ""],
        "event_type": ["click", "dislike", "view"],
        "event_time_ms": [NOW_MS + 1000, NOW_MS + 2000, NOW_MS + 3000],
    }
)
SAMPLES = pl.DataFrame(
    {
        "user_id": ["u1", "7"],
        "item_id": ["12", "13"],
        "time_ms": [NOW_MS + 4000, NOW_MS + 5000],
        "label": [1, 0],
        "split": ["train", "Valid"],
        "page": [None, 3],
        "trigger_item_id": [None, "12"],
    }
)


def write(table: pl.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path)
    return path


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_ids_are_those_of_the_stream(tmp_path: Path, suffix: str) -> None:
    events = read_events(write(EVENTS, tmp_path / f"e.{suffix}"), StateConfig())
    assert events.users.tolist() == [encode_id("u1"), 7, encode_id("u1")]
    assert events.items.tolist() == [12, encode_id("abc"), encode_id("0012")]
    assert events.categories.tolist() == [encode_id("c"), 0, 0]
    assert events.types.tolist() == [1, 7, 2]
    assert events.times_ms.tolist() == [NOW_MS + 1000, NOW_MS + 2000, NOW_MS + 3000]
    assert events.event_ids is None


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_samples_with_and_without_optional_columns(tmp_path: Path, suffix: str) -> None:
    samples = read_samples(write(SAMPLES, tmp_path / f"s.{suffix}"))
    assert samples.pages.tolist() == [NO_PAGE, 3]
    assert samples.triggers.tolist() == [0, 12]
    assert samples.splits.tolist() == [0, 1]
    assert samples.categories.tolist() == [0, 0]
    assert samples.oracle is None


def test_without_a_split_column_time_decides(tmp_path: Path) -> None:
    n = 100
    table = pl.DataFrame(
        {
            "user_id": [1] * n,
            "item_id": [2] * n,
            "time_ms": list(range(NOW_MS, NOW_MS + n))[::-1],
            "label": [0, 1] * (n // 2),
        }
    )
    splits = read_samples(write(table, tmp_path / "s.parquet")).splits[::-1]
    assert (np.diff(splits) >= 0).all()
    assert np.bincount(splits).tolist() == [80, 10, 10]


def test_integer_ids_stand_for_themselves_unless_they_cannot() -> None:
    assert encode_ids(pl.Series([5, 2**62])).tolist() == [5, 2**62]
    assert encode_ids(pl.Series([5, 0, None, -3])).tolist() == [
        5, encode_id("0"), 0, encode_id("-3"),
    ]  # fmt: skip


def changed(table: pl.DataFrame, column: str, values: list[object] | pl.Series) -> pl.DataFrame:
    """Return a table with other values in a column; None leaves a number as it is."""
    return table.with_columns(pl.Series(column, values))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_events_arrive_in_the_order_of_their_times_and_then_of_the_table(
    tmp_path: Path, suffix: str
) -> None:
    """An export newest first is the same log."""
    table = pl.concat([EVENTS, changed(EVENTS, "item_id", ["7", "8", "9"])])
    forward = read_events(write(table, tmp_path / f"f.{suffix}"), StateConfig())
    newest_first = table.sort("event_time_ms", descending=True, maintain_order=True)
    backward = read_events(write(newest_first, tmp_path / f"b.{suffix}"), StateConfig())
    assert (np.diff(forward.times_ms) >= 0).all()
    assert forward.items.tolist() == [12, 7, encode_id("abc"), 8, encode_id("0012"), 9]
    for name in ("users", "items", "categories", "types", "times_ms"):
        np.testing.assert_array_equal(getattr(forward, name), getattr(backward, name))


def test_offsets_and_watermarks_go_with_their_rows(tmp_path: Path) -> None:
    events = EVENTS.with_columns(pl.Series("offset", [7, 9, 8]))
    found = read_events(write(events, tmp_path / "e.csv"), StateConfig())
    assert found.offsets is not None
    by_time = np.argsort(EVENTS["event_time_ms"].to_numpy(), kind="stable")
    assert found.offsets.tolist() == events["offset"].to_numpy()[by_time].tolist()
    samples = read_samples(
        write(SAMPLES.with_columns(pl.Series("watermark", [3, 0])), tmp_path / "s.csv")
    )
    assert samples.watermarks is not None
    assert samples.watermarks.tolist() == [3, 0]
    for name, table in (("offset", EVENTS), ("watermark", SAMPLES)):
        values = [-1, *range(len(table) - 1)]
        wrong = write(table.with_columns(pl.Series(name, values)), tmp_path / "w.csv")
        with pytest.raises(ConfigurationError, match=f"column {name} .*holds -1"):
            read_events(wrong, StateConfig()) if name == "offset" else read_samples(wrong)


def test_event_ids_tell_events_apart(tmp_path: Path) -> None:
    table = EVENTS.with_columns(pl.Series("event_id", ["b", "a", "b"]))
    ids = read_events(write(table, tmp_path / "e.csv"), StateConfig()).event_ids
    assert ids is not None
    assert ids[0] == ids[2] != ids[1]


def test_dates_with_a_time_are_read_in_milliseconds(tmp_path: Path) -> None:
    expected = read_events(write(EVENTS, tmp_path / "e.parquet"), StateConfig()).times_ms
    for unit in ("ms", "us", "ns"):
        for zone in (None, "UTC", "Asia/Tokyo"):
            dated = pl.from_epoch(EVENTS["event_time_ms"], time_unit="ms").cast(
                pl.Datetime(unit, None)
            )
            if zone is not None:
                dated = dated.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
            table = changed(EVENTS, "event_time_ms", dated)
            found = read_events(write(table, tmp_path / "d.parquet"), StateConfig())
            np.testing.assert_array_equal(found.times_ms, expected)


@pytest.mark.parametrize("page", [["1.0", ""], [1.0, None], ["1", None]])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_whole_numbers_may_be_written_as_fractions(
    tmp_path: Path, suffix: str, page: list[object]
) -> None:
    table = changed(SAMPLES, "page", page)
    assert read_samples(write(table, tmp_path / f"s.{suffix}")).pages.tolist() == [1, NO_PAGE]


EMPTY_EVENTS = [
    ("user_id", [None, "7", "u1"], "user_id .* is empty in 1 of 3 rows"),
    ("user_id", ["", "7", ""], "user_id .* is empty in 2 of 3 rows"),
    ("item_id", ["12", None, None], "item_id .* is empty in 2 of 3 rows"),
    ("event_type", [None, "click", "click"], "event_type .* is empty in 1 of 3 rows"),
    ("event_time_ms", [NOW_MS, None, NOW_MS], "event_time_ms .* is empty in 1 of 3 rows"),
    ("event_id", ["a", None, "b"], "event_id .* is empty in 1 of 3 rows"),
]
WRONG_EVENTS = [
    ("item_id", ["12.0", "13.0", "x"], "item_id .* holds 2 ids like 12.0"),
    ("event_type", ["jump"] * 3, "unknown event types"),
    ("event_time_ms", ["soon"] * 3, "whole numbers"),
    ("event_time_ms", [NOW_MS / 1000] * 3, "expected 946684800000 to 4102444800000"),
    ("event_time_ms", [NOW_MS + 0.5] * 3, "whole numbers: it holds"),
    ("event_time_ms", [NOW_MS // 1000] * 3, "holds 1767225600, expected"),
    ("event_time_ms", [NOW_MS * 1000] * 3, "expected 946684800000"),
]
TYPED_EVENTS = [
    ("user_id", [1.0, 2.0, 3.0], "user_id .* holds Float64, not ids"),
    ("item_id", [12.0, 13.0, 14.0], "item_id .* holds Float64, not ids"),
    ("category_id", [1.0, None, 2.0], "category_id .* holds Float64, not ids"),
    ("event_time_ms", [float("nan"), NOW_MS, NOW_MS], "whole numbers"),
    ("event_time_ms", [[NOW_MS]] * 3, "event_time_ms .* holds List"),
]


@pytest.mark.parametrize(
    ("suffix", "column", "values", "message"),
    [
        *(("csv", *case) for case in EMPTY_EVENTS + WRONG_EVENTS),
        *(("parquet", *case) for case in EMPTY_EVENTS + WRONG_EVENTS + TYPED_EVENTS),
    ],
)
def test_wrong_events_are_refused_with_the_reason(
    tmp_path: Path, suffix: str, column: str, values: list[object], message: str
) -> None:
    path = write(changed(EVENTS, column, values), tmp_path / f"e.{suffix}")
    with pytest.raises(ConfigurationError, match=message):
        read_events(path, StateConfig())


WRONG_SAMPLES = [
    ("user_id", ["u1", None], "user_id .* is empty in 1 of 2 rows"),
    ("item_id", [None, "12"], "item_id .* is empty in 1 of 2 rows"),
    ("time_ms", [None, NOW_MS], "time_ms .* is empty in 1 of 2 rows"),
    ("time_ms", [NOW_MS // 1000] * 2, "time_ms .* expected 946684800000"),
    ("label", [1, None], "label .* is empty in 1 of 2 rows"),
    ("label", [1, 2], "label .* holds 2, expected 0 to 1"),
    ("label", [1, 0.9], "label .* whole numbers: it holds 0.9"),
    ("label", ["yes", "no"], "label .* whole numbers"),
    ("split", ["later", "train"], "holds .*later"),
    ("split", [None, "train"], "split .* is empty in 1 of 2 rows"),
    ("page", ["1", "two"], "page .* whole numbers"),
    ("page", [1.5, None], "page .* whole numbers"),
    ("page", [-1, 3], "page .* holds -1, expected 0 to"),
    ("probability", ["0.5", "likely"], "probability .* is not numbers"),
    ("probability", [0.5, 1.5], "probability .* no probability"),
    ("probability", [0.5, None], "probability .* is empty in 1 of 2 rows"),
    ("probability", [0.5, float("nan")], "probability .* no probability"),
]
TYPED_SAMPLES = [
    ("trigger_item_id", [12.0, None], "trigger_item_id .* holds Float64, not ids"),
    ("item_id", [True, False], "item_id .* holds Boolean, not ids"),
]


@pytest.mark.parametrize(
    ("suffix", "column", "values", "message"),
    [
        *(("csv", *case) for case in WRONG_SAMPLES),
        *(("parquet", *case) for case in WRONG_SAMPLES + TYPED_SAMPLES),
    ],
)
def test_wrong_samples_are_refused_with_the_reason(
    tmp_path: Path, suffix: str, column: str, values: list[object], message: str
) -> None:
    path = write(
        changed(SAMPLES, column, pl.Series(values, strict=False)), tmp_path / f"s.{suffix}"
    )
    with pytest.raises(ConfigurationError, match=message):
        read_samples(path)


@pytest.mark.parametrize(
    ("column", "values", "said", "way_out"),
    [
        ("time_ms", [NOW_MS, "2026-01-01"], "it holds '2026-01-01' in row 2", "milliseconds"),
        ("time_ms", [NOW_MS, 7], "in row 2 holds 7, expected", "seconds times 1000"),
        ("label", [1, "yes"], "it holds 'yes' in row 2", "1 for a click and 0 for none"),
        ("label", [1, 2], "in row 2 holds 2, expected 0 to 1", "1 for a click"),
        ("page", [1, "2nd"], "it holds '2nd' in row 2", "empty where there is none"),
        ("page", [1, 2**40], "in row 2 holds 1099511627776", "empty where there is none"),
        ("order", [1, "b"], "it holds 'b' in row 2", "in every row"),
        ("price", [9.5, "$9"], "it holds '$9' in row 2", "such as 9.5"),
        ("price", [9.5, -9.5], "not between 0 and 1e+12: -9.5 in row 2", "correct it"),
        ("split", ["train", "later"], "['later'], the first in row 2", "dev, test"),
        ("user_id", ["u", None], "is empty in 1 of 2 rows, the first is row 2", "fill it in"),
        ("item_id", ["a", "12.0"], "1 ids like 12.0, the first in row 2", "integers"),
    ],
)
def test_a_wrong_value_is_named_with_its_row_and_a_way_out(
    tmp_path: Path, column: str, values: list[object], said: str, way_out: str
) -> None:
    texts = [None if value is None else str(value) for value in values]
    path = write(SAMPLES.with_columns(pl.Series(column, texts)), tmp_path / "s.csv")
    with pytest.raises(ConfigurationError) as refused:
        read_samples(path)
    assert f"column {column} of {path}" in refused.value.message
    assert said in refused.value.message
    assert way_out in refused.value.hint


def test_numbers_beyond_64_bits_are_refused(tmp_path: Path) -> None:
    table = SAMPLES.with_columns(pl.Series("order", [1, 2**64 - 1], dtype=pl.UInt64))
    with pytest.raises(ConfigurationError, match=r"order .* whole numbers: it holds 184467440737"):
        read_samples(write(table, tmp_path / "s.parquet"))


def test_unknown_event_types_are_answered_with_rules_that_know_them(tmp_path: Path) -> None:
    path = write(changed(EVENTS, "event_type", ["click", "open", "zap"]), tmp_path / "e.csv")
    with pytest.raises(
        ConfigurationError, match=r"\['open', 'zap'\], the first in row 2"
    ) as refused:
        read_events(path, StateConfig())
    assert "known: click, view, cart" in refused.value.hint
    example = refused.value.hint[refused.value.hint.index("{") :]
    rules = tmp_path / "rules.json"
    rules.write_text(example)
    assert load_state_config(rules).memory_types == ("click", "open", "zap")
    read_events(path, load_state_config(rules))


def test_a_missing_column_is_named_with_all_that_are_needed(tmp_path: Path) -> None:
    events = write(EVENTS.drop("event_time_ms"), tmp_path / "e.csv")
    with pytest.raises(ConfigurationError, match="lacks the columns event_time_ms"):
        read_events(events, StateConfig())
    samples = write(SAMPLES.drop("label"), tmp_path / "s.csv")
    with pytest.raises(ConfigurationError, match="lacks the columns label") as refused:
        read_samples(samples)
    assert "user_id, item_id, time_ms, label" in refused.value.hint


def test_missing_empty_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_samples(tmp_path / "none.csv")
    (tmp_path / "bad.parquet").write_bytes(b"not parquet")
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_samples(tmp_path / "bad.parquet")
    with pytest.raises(ConfigurationError, match="no rows"):
        read_samples(write(SAMPLES.clear(), tmp_path / "s.csv"))
