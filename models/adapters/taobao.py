"""Taobao UserBehavior (Tianchi 649) as canonical tables: the clicks, with negatives beside them.

MIMN, HPMN and SIM use this log. As there, a positive is a click (``pv``) and negatives are drawn
uniformly, one for each. Deviations from MIMN's protocol: there the users are split and a user's
last click alone is a sample; here time splits, the last day (24 hours) tests and the day before
validates, and every click of a user with an earlier event is a sample. There the history holds the
clicks alone, as the paper says (its code keeps all); here it also holds carts, favorites and
purchases, by their type, as the live stream does. Nothing that is a candidate of a sample is in its
history by being one (MIMN's code appends it). Negatives: see ``models/sampling.py``.

Triggers are made up as the DEI2N paper does for Alimama: the user's latest click before, if it is
at most 4 hours old.
"""

from pathlib import Path

import polars as pl

from interest_center.core.events import EARLIEST_TIME_MS, LATEST_TIME_MS
from interest_center.core.layout import StateConfig
from models.adapters.converted import Converted
from models.adapters.raw_files import check_filled, find_file, typed
from models.adapters.shopping_logs import SHOPPING_LOGS, TAOBAO_BEHAVIOURS, read_shopping_log
from models.negatives import Policy
from models.sampling import OnDrawn, SamplingPlan, make_samples, silent, split_by_time

LOG_FILE = "UserBehavior.csv"
POSITIVE_TYPE = "click"
TRIGGER_WITHIN_MS = 4 * 3_600_000
VALIDATION_DAYS, TEST_DAYS = 1, 1

_SECONDS = (EARLIEST_TIME_MS // 1000, LATEST_TIME_MS // 1000)


def convert_taobao(
    directory: Path, policy: Policy, seed: int = 0, on_drawn: OnDrawn = silent
) -> Converted:
    """Turn the log into events and samples.

    Args:
        directory: Holds ``UserBehavior.csv``, or ``raw/UserBehavior.csv``.
        policy: How negatives are drawn.
        seed: Of the negatives.
        on_drawn: Told how many positives have their negatives, and of how many.

    Raises:
        ConfigurationError: The file is missing or holds what it must not.
    """
    path = find_file(directory, LOG_FILE, f"raw/{LOG_FILE}", f"{LOG_FILE}.gz")
    frame, is_cut_short = read_shopping_log(path, "taobao")
    seconds = pl.col("time").cast(pl.Int64, strict=False)
    checks = {
        **{name: pl.col(name).cast(pl.Int64, strict=False) for name in ("user_id", "item_id")},
        "category_id": pl.col("category_id").cast(pl.Int64, strict=False),
        "behaviour": pl.col("behaviour").replace_strict(TAOBAO_BEHAVIOURS, default=None),
        "time": pl.when(seconds.is_between(*_SECONDS)).then(seconds),
    }
    check_filled(path, typed(path, frame, checks), tuple(checks))
    ids = ("user_id", "item_id", "category_id")
    events = (
        SHOPPING_LOGS["taobao"]
        .to_events(frame.lazy())
        .select(pl.col(*ids).cast(pl.Int64), "event_type", pl.col("event_time_ms").cast(pl.Int64))
        .sort("event_time_ms", maintain_order=True)
        .collect()
    )
    splits = split_by_time(events["event_time_ms"].to_numpy(), VALIDATION_DAYS, TEST_DAYS)
    plan = SamplingPlan((POSITIVE_TYPE,), policy, TRIGGER_WITHIN_MS, seed)
    sampled = make_samples(events, splits, plan, on_drawn)
    cut = ("the last line is cut short and left out",) if is_cut_short else ()
    return Converted(events, sampled.samples, StateConfig(), cut + sampled.notes)
