"""Recipes of the proof, a JSON file a log: what all rows share, and what each row has of its own.

``{"shared": {...}, "rows": {"DIN": {"model": "din", ...}}}``; names and values are those that
``uic train --recipe`` takes. How each was chosen is told in ``docs/results.md``.
"""

import json
from pathlib import Path
from typing import Any

Recipe = dict[str, Any]


def recipes(name: str) -> dict[str, Recipe]:
    """Return the recipes of a log by row, in the order of the file."""
    told = json.loads((Path(__file__).parent / f"{name}.json").read_text())
    return {row: {**told["shared"], **own} for row, own in told["rows"].items()}
