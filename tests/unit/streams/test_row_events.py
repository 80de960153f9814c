"""Rows to events: column mapping, time units, derived ids, empty cells, bad rows with a reason."""

import datetime
import math
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from interest_center.core.errors import ConfigurationError
from interest_center.core.event_decoder import BadEventError
from interest_center.core.events import BehaviorEvent
from interest_center.core.layout import DEFAULT_EVENT_TYPES
from streams.event_tables import Row, open_table
from streams.row_events import RowMapping, RowReader

TIME_MS = 1_700_000_000_123
GOOD = {"user_id": "u", "item_id": "i", "event_type": "click", "event_time_ms": TIME_MS}


def event_of(
    fields: dict[str, Any], number: int = 1, mapping: RowMapping | None = None
) -> BehaviorEvent:
    reader = RowReader(mapping or RowMapping(), DEFAULT_EVENT_TYPES)
    return reader.event(Row(number, fields, fields))


def test_columns_are_mapped_and_constants_fill_what_a_row_leaves_open() -> None:
    mapping = RowMapping(
        {"user_id": "visitor", "price": "eur"}, {"event_type": "view", "page": "2"}
    )
    row = {"visitor": "v", "user_id": "other", "item_id": "i", "event_time_ms": TIME_MS}
    event = event_of(row | {"eur": "9.5", "event_id": "e", "colour": "red"}, mapping=mapping)
    assert event == BehaviorEvent("e", "v", "i", "view", TIME_MS, page=2, price=9.5)
    own = event_of(row | {"event_type": "cart", "page": 3}, mapping=mapping)
    assert (own.event_type, own.page) == ("cart", 3)


def test_cells_become_the_types_of_their_fields() -> None:
    event = event_of(
        {
            "user_id": 7,
            "item_id": 9007199254740993,
            "event_type": "click",
            "event_time_ms": str(TIME_MS),
            "category_id": "",
            "trigger_item_id": None,
            "page": "4",
            "price": Decimal("1.25"),
        }
    )
    assert (event.user_id, event.item_id, event.event_time_ms) == ("7", "9007199254740993", TIME_MS)
    assert (event.category_id, event.trigger_item_id) == (None, None)
    assert (event.page, event.price) == (4, 1.25)


@pytest.mark.parametrize(
    ("unit", "given", "expected"),
    [
        ("ms", TIME_MS, TIME_MS),
        ("ms", float(TIME_MS), TIME_MS),
        ("ms", "1.700000000123e12", TIME_MS),
        ("s", 1_700_000_000, 1_700_000_000_000),
        ("s", "1700000000.123", TIME_MS),
        ("s", 1700000000.123, TIME_MS),
        ("iso", "2023-11-14T22:13:20.123Z", TIME_MS),
        ("iso", "2023-11-15 00:13:20.123+02:00", TIME_MS),
        ("iso", "2023-11-14T22:13:20.123", TIME_MS),
        ("iso", "2023-11-14", 1_699_920_000_000),
        # A column of timestamps, as parquet has them, says its unit itself.
        ("ms", datetime.datetime(2023, 11, 14, 22, 13, 20, 123_000), TIME_MS),  # noqa: DTZ001
        ("s", datetime.datetime(2023, 11, 14, 22, 13, 20, 123_000, datetime.UTC), TIME_MS),
    ],
)
def test_times_of_every_unit(unit: str, given: object, expected: int) -> None:
    event = event_of(GOOD | {"event_time_ms": given}, mapping=RowMapping(time_unit=unit))
    assert event.event_time_ms == expected


def test_a_time_without_zone_is_utc_wherever_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        event = event_of(
            GOOD | {"event_time_ms": "2023-11-14T22:13:20.123"}, mapping=RowMapping(time_unit="iso")
        )
    time.tzset()
    assert event.event_time_ms == TIME_MS


def test_a_derived_id_is_the_same_again_and_another_for_every_row() -> None:
    first = event_of(GOOD, 1).event_id
    assert event_of(dict(GOOD), 1).event_id == first
    assert event_of(GOOD | {"event_time_ms": str(TIME_MS)}, 1).event_id == first
    others = [
        event_of(GOOD, 2),
        event_of(GOOD | {"page": 1}, 1),
        event_of(GOOD | {"item_id": "j"}, 1),
    ]
    assert len({first, *(other.event_id for other in others)}) == 4
    assert event_of(GOOD | {"event_id": "mine"}).event_id == "mine"
    assert event_of(GOOD | {"event_id": ""}, 1).event_id == first


@pytest.mark.parametrize(
    ("changed", "unit", "reason", "field"),
    [
        ({"user_id": ""}, "ms", "missing_field", "user_id"),
        ({"item_id": None}, "ms", "missing_field", "item_id"),
        ({"user_id": "u" * 257}, "ms", "id_too_long", "user_id"),
        ({"user_id": True}, "ms", "wrong_type", "user_id"),
        ({"item_id": 1.5}, "ms", "wrong_type", "item_id"),
        ({"item_id": ["i"]}, "ms", "wrong_type", "item_id"),
        ({"event_type": "clickk"}, "ms", "unknown_event_type", "event_type"),
        ({"event_time_ms": "yesterday"}, "ms", "wrong_type", "event_time_ms"),
        ({"event_time_ms": "yesterday"}, "iso", "wrong_type", "event_time_ms"),
        ({"event_time_ms": math.nan}, "s", "wrong_type", "event_time_ms"),
        ({"event_time_ms": "1e400"}, "ms", "wrong_type", "event_time_ms"),
        ({"event_time_ms": "1.5"}, "ms", "wrong_type", "event_time_ms"),
        ({"event_time_ms": True}, "ms", "wrong_type", "event_time_ms"),
        ({"event_time_ms": 1_700_000_000}, "ms", "time_out_of_range", "event_time_ms"),
        ({"event_time_ms": TIME_MS}, "s", "time_out_of_range", "event_time_ms"),
        ({"page": "one"}, "ms", "wrong_type", "page"),
        ({"page": "-1"}, "ms", "bad_page", "page"),
        ({"price": "free"}, "ms", "wrong_type", "price"),
        ({"price": "nan"}, "ms", "bad_price", "price"),
        ({"price": "inf"}, "ms", "bad_price", "price"),
        ({"user_id": "\udcff"}, "ms", "not_utf8", ""),
    ],
)
def test_a_bad_row_says_what_is_wrong(
    changed: dict[str, Any], unit: str, reason: str, field: str
) -> None:
    with pytest.raises(BadEventError) as refused:
        event_of(GOOD | changed, mapping=RowMapping(time_unit=unit))
    assert (refused.value.reason, refused.value.field) == (reason, field)
    assert field in refused.value.detail


def test_a_row_that_could_not_be_read_keeps_its_problem() -> None:
    problem = BadEventError("not_json", "the line is not JSON")
    with pytest.raises(BadEventError) as refused:
        RowReader(RowMapping(), DEFAULT_EVENT_TYPES).event(Row(3, {}, b"{", problem))
    assert refused.value is problem


def test_a_missing_column_is_refused_before_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("visitor,item_id,event_time_ms\nv,i,1\n")
    table = open_table(path)
    fitting = RowMapping({"user_id": "visitor"}, {"event_type": "click"})
    fitting.check(table)
    with pytest.raises(ConfigurationError, match="no column user_id for field user_id") as refused:
        RowMapping(constants={"event_type": "click"}).check(table)
    assert refused.value.hint.startswith("--map user_id=COLUMN")
    with pytest.raises(ConfigurationError, match="no column eur for field price"):
        RowMapping({**fitting.columns, "price": "eur"}, fitting.constants).check(table)
    list(table.rows(0))
