"""What a verification may begin with: snapshots, or a file that is the whole history."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from interest_center.core.errors import ConfigurationError, InterestCenterError
from interest_center.core.event_decoder import BadEventError
from interest_center.core.layout import StateConfig
from interest_center.settings import Settings
from interest_center.stores.snapshots import download
from streams.event_tables import open_table
from streams.kept_snapshots import chosen_snapshots, kept_snapshots, snapshot_target
from streams.reference.history import PartitionHistory
from streams.reference.records import Event
from streams.reference.stored_states import StoredStates
from streams.row_events import RowMapping, RowReader


@dataclass(frozen=True)
class Start:
    """Where to begin in a partition: at a snapshot of it.

    Attributes:
        watermark: The snapshot is the state of the records before this offset.
        counters: What became of these, as the snapshot says.
        states: Its states.
    """

    watermark: int
    counters: Mapping[str, int]
    states: StoredStates


@contextmanager
def opened(
    settings: Settings, rules: StateConfig, ids: Sequence[str], memory_fingerprint: int
) -> Iterator[dict[int, Start]]:
    """Give snapshots as places to begin at, by partition.

    Raises:
        ConfigurationError: There is no such snapshot, it is not intact, or not of these rules.
    """
    starts: dict[int, Start] = {}
    with ExitStack() as stack:
        for one in chosen_snapshots(kept_snapshots(settings), ids):
            meta = one.manifest.meta
            if meta.config_fingerprint != rules.fingerprint:
                raise ConfigurationError(
                    f"snapshot {one.id} follows other state rules",
                    hint="name the --bundle or the --state-config of its time",
                )
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="uic-verify-"))
            try:
                download(snapshot_target(settings), one.manifest, Path(folder) / "copy")
            except (OSError, InterestCenterError) as error:
                raise ConfigurationError(f"snapshot {one.id} is not intact: {error}") from error
            states = StoredStates(Path(folder) / "copy", rules, memory_fingerprint)
            stack.callback(states.close)
            counters = msgspec.structs.asdict(meta.counters)
            starts[meta.identity.partition] = Start(meta.watermark, counters, states)
        yield starts


def history_of_file(path: Path, rules: StateConfig) -> PartitionHistory:
    """Return what users did as a table of events says it.

    Raises:
        ConfigurationError: It cannot be read, or holds a bad row.
    """
    history = PartitionHistory(0, 1, rules, lambda _: True)
    table, mapping = open_table(path), RowMapping()
    mapping.check(table)
    reader = RowReader(mapping, rules.event_types)
    for row in table.rows(0):
        try:
            event = reader.event(row)
        except BadEventError as error:
            raise ConfigurationError(f"row {row.number} of {path}: {error}") from error
        plain = Event(
            event.event_id, event.item_id, event.category_id, event.event_type, event.event_time_ms
        )
        # All lie before any watermark: a file does not say at which offsets its events came.
        history.keep(event.user_id, 0, plain)
    return history
