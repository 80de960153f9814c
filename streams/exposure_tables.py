"""What was shown, and the events of the same log, as the tables that ``uic train`` reads.

A sample sees what its scores have seen: the events of its user below the watermark that the state
had. So the tables carry the events' offsets, and no clock decides. A shown item was chosen when its
user did one of the positive event types with it soon enough after it was shown (by the clocks of
sender and ranking worker), by an event that the scores had not seen; shown several times, the last.

What a user has erased is in neither table, nor what was shown to the user before.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import polars as pl

from interest_center.core.event_decoder import BadEventError, EventDecoder
from interest_center.core.exposures import Exposure
from interest_center.core.ids import partition_of
from interest_center.core.packed_records import Record

_EVENTS = {
    "user_id": pl.String, "item_id": pl.String, "category_id": pl.String, "event_type": pl.String,
    "event_time_ms": pl.Int64, "event_id": pl.String, "price": pl.Float64, "offset": pl.Int64,
}  # fmt: skip
_SHOWN = {
    "user_id": pl.String, "item_id": pl.String, "category_id": pl.String, "time_ms": pl.Int64,
    "page": pl.Int64, "trigger_item_id": pl.String, "trigger_category_id": pl.String,
    "watermark": pl.Int64, "served_probability": pl.Float64, "model": pl.String,
    "exposure": pl.Int64,
}  # fmt: skip
_DECODER = msgspec.json.Decoder(Exposure)

UNREADABLE = "records of the topic that are no exposures"
NOT_BY_STATE = "exposures that were not ranked by the user's state"
DEGRADED = "exposures that were ranked by a part of the state only (degraded)"
OPEN = "exposures of which nobody knows yet what comes of them (--within)"
ERASED = "exposures to users who have erased since what they had done"
OF_ANOTHER_LOG = "exposures ranked by events that this events topic does not hold"


@dataclass(frozen=True)
class Outcome:
    """When a shown item counts as chosen.

    Attributes:
        positives: Event types.
        within_ms: How long after it was shown.
        until_ms: The events are known until then; what was shown later than ``within_ms`` before
            is open.
    """

    positives: tuple[str, ...]
    within_ms: int
    until_ms: int


@dataclass
class EventRows:
    """The events of a log.

    Attributes:
        decoder: Says what a good event is.
        ends: Offset up to which each partition was read.
        starts: Offset from which each partition was read.
        n_refused: Records that are no events.
        erased: Users who erased what they had done, and the offset of the last time.
    """

    decoder: EventDecoder
    ends: dict[int, int] = field(default_factory=dict)
    starts: dict[int, int] = field(default_factory=dict)
    n_refused: int = 0
    erased: dict[str, int] = field(default_factory=dict)
    _frames: list[pl.DataFrame] = field(default_factory=list)

    def add(self, partition: int, records: Iterable[Record]) -> None:
        """Take records of a partition, in offset order."""
        rows = []
        for record in records:
            try:
                sender, event = self.decoder.decode_record(partition, record)
            except BadEventError:
                self.n_refused += 1
                continue
            if event is None:
                self.erased[sender.user_id] = record.offset
                continue
            rows.append(
                (
                    event.user_id, event.item_id, event.category_id, event.event_type,
                    event.event_time_ms, event.event_id, event.price, record.offset,
                )
            )  # fmt: skip
        self._frames.append(pl.DataFrame(rows, schema=_EVENTS, orient="row"))

    def frame(self) -> pl.DataFrame:
        """Return the event table."""
        events = pl.concat([pl.DataFrame(schema=_EVENTS), *self._frames])
        return self.after_erasure(events, "offset")

    def within_the_log(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Leave out rows whose ``watermark`` is outside of what was read of their ``user_id``."""
        users = rows["user_id"].unique().to_list()
        partitions = [partition_of(user.encode(), len(self.ends)) for user in users]
        known = pl.DataFrame(
            {
                "user_id": users,
                "start": [self.starts[one] for one in partitions],
                "end": [self.ends[one] for one in partitions],
            },
            schema={"user_id": pl.String, "start": pl.Int64, "end": pl.Int64},
        )
        within = rows.join(known, on="user_id", how="left", maintain_order="left")
        # Of a log whose first events are gone, nothing that a score at its start has seen is left.
        begun = (pl.col("start") == 0) | (pl.col("watermark") > pl.col("start"))
        return within.filter(begun & (pl.col("watermark") <= pl.col("end"))).drop("start", "end")

    def after_erasure(self, rows: pl.DataFrame, column: str) -> pl.DataFrame:
        """Leave out rows of users that are from before they erased what they had done.

        Args:
            rows: With a column ``user_id``.
            column: Offset of each.
        """
        last = pl.DataFrame(
            {"user_id": list(self.erased), "erased_at": list(self.erased.values())},
            schema={"user_id": pl.String, "erased_at": pl.Int64},
        )
        known = rows.join(last, on="user_id", how="left", maintain_order="left")
        since = (pl.col(column) > pl.col("erased_at")).fill_null(value=True)
        return known.filter(since).drop("erased_at")


@dataclass
class ShownRows:
    """What was shown, an item a row.

    Attributes:
        n_exposures: Records that were read.
        left_out: Exposures that are no samples, by reason.
    """

    n_exposures: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    _frames: list[pl.DataFrame] = field(default_factory=list)

    def add(self, records: Iterable[Record]) -> None:
        """Take records of the exposures topic."""
        rows: list[tuple[object, ...]] = []
        for record in records:
            self.n_exposures += 1
            try:
                shown = _DECODER.decode(record.value or b"")
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                self.left_out[UNREADABLE] += 1
                continue
            if shown.degraded is not None:
                self.left_out[DEGRADED] += 1
            elif shown.watermark is None or shown.history == "request":
                self.left_out[NOT_BY_STATE] += 1
            else:
                rows += _rows_of(shown, self.n_exposures)
        self._frames.append(pl.DataFrame(rows, schema=_SHOWN, orient="row"))

    def samples(self, events: EventRows, outcome: Outcome) -> pl.DataFrame:
        """Return the sample table, and count what it lacks.

        Args:
            events: The whole log.
            outcome: When an item was chosen.
        """
        shown = pl.concat([pl.DataFrame(schema=_SHOWN), *self._frames])
        shown = self._kept(shown, events.after_erasure(shown, "watermark"), ERASED)
        closed = pl.col("time_ms") <= outcome.until_ms - outcome.within_ms
        shown = self._kept(shown, shown.filter(closed), OPEN)
        shown = self._kept(shown, events.within_the_log(shown), OF_ANOTHER_LOG)
        shown = shown.sort("time_ms", maintain_order=True).with_row_index("row")
        # Delivered again, an event is none: the scores may have seen the first of the two.
        done = events.frame().unique(["user_id", "event_id"], keep="first", maintain_order=True)
        done = done.filter(pl.col("event_type").is_in(outcome.positives))
        age = pl.col("event_time_ms") - pl.col("time_ms")
        chosen = (
            done.select("user_id", "item_id", "event_time_ms", "offset")
            .join(shown, on=["user_id", "item_id"])
            .filter(pl.col("offset") >= pl.col("watermark"), age.is_between(0, outcome.within_ms))
            .group_by("user_id", "offset")
            .agg(pl.col("row").max())
        )
        label = pl.col("row").is_in(chosen["row"].implode()).cast(pl.Int8).alias("label")
        return shown.with_columns(label).drop("row", "exposure")

    def _kept(self, before: pl.DataFrame, after: pl.DataFrame, reason: str) -> pl.DataFrame:
        """Count the exposures that were left out."""
        self.left_out[reason] += before["exposure"].n_unique() - after["exposure"].n_unique()
        return after


def _rows_of(shown: Exposure, number: int) -> list[tuple[object, ...]]:
    return [
        (
            shown.user_id, item.item_id, item.category_id, shown.time_ms, shown.page,
            shown.trigger_item_id, shown.trigger_category_id, shown.watermark, item.probability,
            shown.model, number,
        )
        for item in shown.items
    ]  # fmt: skip
