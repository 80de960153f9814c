"""Durations as people write them: ``90s``, ``15m``, ``1h``, ``7d``."""

import re

from interest_center.core.errors import ConfigurationError

DAY_MS = 86_400_000

_UNITS_MS = {"d": DAY_MS, "h": 3_600_000, "m": 60_000, "s": 1000}
_DURATION = re.compile(r"(\d{1,9})([smhd])")
_HINT = "write a whole number and s, m, h or d: 0, 90s, 15m, 1h, 7d"


def parse_duration(text: str) -> int:
    """Return milliseconds.

    Raises:
        ConfigurationError: It is no duration.
    """
    if text == "0":
        return 0
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ConfigurationError(f"{text!r} is not a duration", hint=_HINT)
    return int(found[1]) * _UNITS_MS[found[2]]


def parse_durations(text: str) -> tuple[int, ...]:
    """Return milliseconds of a list with commas, each once, in the order given.

    Raises:
        ConfigurationError: One of them is no duration.
    """
    return tuple(dict.fromkeys(parse_duration(part.strip()) for part in text.split(",")))


def duration_text(milliseconds: int) -> str:
    """Return a duration in the largest unit that it is a whole number of; ``0`` for none."""
    for unit, size in _UNITS_MS.items():
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds / 1000:g}s" if milliseconds else "0"
