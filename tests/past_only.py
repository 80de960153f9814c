"""The check that every adapter passes: written and read again, a sample sees its past alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from models.adapters.converted import EVENTS_FILE, SAMPLES_FILE, Converted, write_converted
from models.samples import point_in_time
from models.tables import read_events, read_samples


def of_some_users(converted: Converted, n_users: int) -> Converted:
    """Return events and samples of the first users alone."""
    users = converted.samples["user_id"].unique().sort().head(n_users).to_list()
    chosen = pl.col("user_id").is_in(users)
    events, samples = converted.events.filter(chosen), converted.samples.filter(chosen)
    return replace(converted, events=events, samples=samples)


def check_past_only(converted: Converted, directory: Path) -> None:
    """Compare what each sample sees with what the event table says of the time before.

    Where both tables have an order, an event of the sample's time is past if its order is smaller.
    """
    write_converted(converted, directory)
    state = converted.state
    samples = read_samples(directory / SAMPLES_FILE)
    joined = point_in_time(read_events(directory / EVENTS_FILE, state), samples, state)
    assert joined.n_late_events == joined.n_duplicate_events == 0
    assert set(converted.events["event_type"]) <= set(state.behavior_types)
    n_seen = np.empty(len(samples.users), np.int64)
    requests = joined.requests
    n_candidates = np.diff(requests.starts)
    n_seen[requests.rows] = np.repeat(requests.ring_positions, n_candidates)
    assert n_seen.tolist() == _n_past(converted).to_list()
    last = joined.ring.starts[requests.users] + requests.ring_positions - 1
    some = requests.ring_positions > 0
    newest = joined.ring.times_ms[last[some]]
    if "order" not in converted.events.columns:
        assert (newest < requests.times_ms[some]).all()
    assert (newest <= requests.times_ms[some]).all()


def _n_past(converted: Converted) -> pl.Series:
    """Return how many events of its user stand before each sample, by sorting both together."""
    order = pl.col("order") if "order" in converted.events.columns else pl.lit(0)
    events = converted.events.select(
        "user_id", time_ms="event_time_ms", order=order, is_event=pl.lit(1), row=pl.lit(-1)
    )
    samples = converted.samples.select(
        "user_id", "time_ms", order=order, is_event=pl.lit(0), row=pl.int_range(pl.len())
    )
    # A sample stands before the events of its own moment.
    both = pl.concat(
        [part.cast({"order": pl.Int64, "row": pl.Int64}) for part in (events, samples)]
    )
    both = both.sort("user_id", "time_ms", "order", "is_event")
    both = both.with_columns(n=pl.col("is_event").cum_sum().over("user_id"))
    return both.filter(is_event=0).sort("row")["n"]
