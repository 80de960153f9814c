"""The suites by name; a later issue adds its own beside ``main``."""

from collections.abc import Callable

from prove.rows import Line


def main_lines() -> list[Line]:
    """Return the lines of the first issue, "The main job, end to end, on a real Kafka"."""
    from prove.main_rows import LINES

    return LINES


def models_lines() -> list[Line]:
    """Return the lines of the second issue, "Every model of the papers, trained and proven"."""
    from prove.models_rows import LINES

    return LINES


def engine_lines() -> list[Line]:
    """Return the lines of the engine: speed, freshness, faults."""
    from prove.engine_rows import LINES

    return LINES


def ranking_lines() -> list[Line]:
    """Return the lines of ranking: speed, load, faults, equality."""
    from prove.ranking_rows import LINES

    return LINES


SUITES: dict[str, Callable[[], list[Line]]] = {
    "main": main_lines,
    "models": models_lines,
    "engine": engine_lines,
    "ranking": ranking_lines,
}
