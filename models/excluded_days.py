"""Days whose samples are not trained on: those of a big sale tell little of other days.

MIMN's authors leave such days out, because training on them lowered the AUC (Pi et al. 2019,
section 4). The events of these days stay: users did what they did.
"""

from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import ConfigurationError
from models.durations import DAY_MS

_RANGE = ".."

#: First and last day, both included, as days since the epoch, UTC.
DaySpans = tuple[tuple[int, int], ...]


def parse_days(text: str) -> DaySpans:
    """Read days such as ``2026-11-11,2026-12-24..2026-12-26``; nothing of an empty text.

    Raises:
        ConfigurationError: A part is no day, or a range ends before it begins.
    """
    spans = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, separator, last = part.partition(_RANGE)
        begin = _day(first)
        end = _day(last) if separator else begin
        if end < begin:
            raise ConfigurationError(f"days {part} end before they begin")
        spans.append((begin, end))
    return tuple(spans)


def _day(text: str) -> int:
    try:
        return (date.fromisoformat(text.strip()) - date(1970, 1, 1)) // timedelta(days=1)
    except ValueError as error:
        raise ConfigurationError(
            f"{text.strip()!r} is no day", hint="write days as 2026-11-11 or 2026-11-11..2026-11-13"
        ) from error


def days_text(spans: DaySpans) -> str:
    """Return days as ``parse_days`` reads them."""
    begin = date(1970, 1, 1)
    ends = [[str(begin + timedelta(days=day)) for day in span] for span in spans]
    return ",".join(first if first == last else f"{first}{_RANGE}{last}" for first, last in ends)


def days_of(times_ms: NDArray[np.int64]) -> tuple[int, int]:
    """Return the first and the last day of some times."""
    return int(times_ms.min()) // DAY_MS, int(times_ms.max()) // DAY_MS


def falls_on(times_ms: NDArray[np.int64], spans: DaySpans) -> NDArray[np.bool_]:
    """Tell which times fall on one of the days, ``[n]``."""
    days = times_ms // DAY_MS
    inside = np.zeros(len(days), np.bool_)
    for first, last in spans:
        inside |= (days >= first) & (days <= last)
    return inside
