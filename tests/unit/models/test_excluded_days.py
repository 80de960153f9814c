"""Days as people write them, and what falls on them."""

from datetime import UTC, datetime

import numpy as np
import pytest

from interest_center.core.errors import ConfigurationError
from models.excluded_days import falls_on, parse_days


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_days_begin_and_end_at_midnight_utc() -> None:
    spans = parse_days("2026-11-11, 2026-12-24..2026-12-26,")
    times = {
        "2026-11-10T23:59:59.999": False,
        "2026-11-11T00:00:00": True,
        "2026-11-11T23:59:59.999": True,
        "2026-11-12T00:00:00": False,
        "2026-12-23T23:59:59.999": False,
        "2026-12-24T00:00:00": True,
        "2026-12-25T12:00:00": True,
        "2026-12-26T23:59:59.999": True,
        "2026-12-27T00:00:00": False,
    }
    found = falls_on(np.array([ms(time) for time in times]), spans)
    assert found.tolist() == list(times.values())


def test_days_before_the_epoch_are_days_too() -> None:
    times = np.array([-86_400_001, -86_400_000, -1, 0])
    assert falls_on(times, parse_days("1969-12-31")).tolist() == [False, True, True, False]


def test_no_days_hold_nothing() -> None:
    assert parse_days("") == ()
    assert not falls_on(np.array([0, 1]), ()).any()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-02-30", "'2026-02-30' is no day"),
        ("11.11.2026", "'11.11.2026' is no day"),
        ("2026-11-11..", "'' is no day"),
        ("2026-11-13..2026-11-11", "end before they begin"),
    ],
)
def test_what_is_no_day_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parse_days(f"2026-01-01,{text}")
