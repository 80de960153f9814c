"""Durations are read and written alike, and anything else is refused with the way to write them."""

import pytest

from interest_center.core.errors import ConfigurationError
from models.durations import duration_text, parse_duration, parse_durations


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("0", 0), ("90s", 90_000), ("15m", 900_000), ("1h", 3_600_000), ("7d", 604_800_000)],
)
def test_what_is_read_is_written(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds
    assert duration_text(milliseconds) == text


def test_other_forms_are_written_in_their_largest_unit() -> None:
    assert duration_text(parse_duration("24h")) == "1d"
    assert duration_text(1500) == "1.5s"


@pytest.mark.parametrize("text", ["", "1", "h", "1.5h", "-1h", "1 h", "1w", "1h30m", "0x"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a duration") as refused:
        parse_duration(text)
    assert "0, 90s, 15m, 1h, 7d" in refused.value.hint


def test_lists_keep_their_order_and_lose_repetitions() -> None:
    assert parse_durations("1d, 0,24h") == (86_400_000, 0)
    with pytest.raises(ConfigurationError, match="''"):
        parse_durations("1h,")
