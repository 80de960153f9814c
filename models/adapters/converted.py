"""What an adapter makes of a public log: events, samples and state rules, written side by side."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import msgspec
import polars as pl

from interest_center.core.layout import StateConfig
from models.bundle_files import write_atomically, writing

EVENTS_FILE = "events.parquet"
SAMPLES_FILE = "samples.parquet"
STATE_FILE = "state.json"


@dataclass(frozen=True)
class Converted:
    """A public log in canonical form.

    Attributes:
        events: Columns ``user_id, item_id, event_type, event_time_ms`` and optional ones.
        samples: Columns ``user_id, item_id, time_ms, label, split`` and optional ones.
        state: Rules of the state that know the event types.
        notes: What was left out or looks odd, a sentence each.
    """

    events: pl.DataFrame
    samples: pl.DataFrame
    state: StateConfig
    notes: tuple[str, ...] = ()


def write_converted(converted: Converted, directory: Path) -> None:
    """Write both tables and the state rules into a directory.

    Raises:
        ConfigurationError: The directory cannot be written to.
    """
    with writing(directory):
        for name, table in ((EVENTS_FILE, converted.events), (SAMPLES_FILE, converted.samples)):
            packed = BytesIO()
            table.write_parquet(packed)
            write_atomically(directory / name, packed.getvalue())
        rules = msgspec.json.format(msgspec.json.encode(converted.state), indent=2)
        write_atomically(directory / STATE_FILE, rules + b"\n")
