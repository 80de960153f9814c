"""Amazon Reviews 2023, electronics, as canonical tables: the reviews, with negatives beside them.

As in DIN and DIEN, a review is a behavior and a positive, whatever its rating. The event type says
the rating as replays do (4 and 5 ``purchase``, 3 ``view``, less ``dislike``), and all three feed a
state. Every review of a user with an earlier one is a sample, as in DIN (DIEN: the last alone), in
the split that the file gives, which is by time. Negatives are drawn by popularity, as in DIEN, one
for each; see ``models/sampling.py`` for what differs there. A review carries the item's price where
it is known.
"""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from interest_center.core.events import EARLIEST_TIME_MS, LATEST_TIME_MS, MAX_PRICE
from interest_center.core.layout import StateConfig
from models.adapters.converted import Converted
from models.adapters.raw_files import check_filled, find_file, typed
from models.adapters.shopping_logs import SHOPPING_LOGS, read_shopping_log
from models.negatives import Policy
from models.sampling import OnDrawn, SamplingPlan, make_samples, silent
from models.tables import SPLITS

LOG_FILE = "stream.csv.gz"
EVENT_TYPES = ("purchase", "view", "dislike")

_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_RATINGS = (1, 5)


def convert_amazon(
    directory: Path, policy: Policy, seed: int = 0, on_drawn: OnDrawn = silent
) -> Converted:
    """Turn the reviews into events and samples.

    Args:
        directory: Holds ``stream.csv.gz``.
        policy: How negatives are drawn.
        seed: Of the negatives.
        on_drawn: Told how many positives have their negatives, and of how many.

    Raises:
        ConfigurationError: The file is missing or holds what it must not.
    """
    path = find_file(directory, LOG_FILE, LOG_FILE.removesuffix(".gz"))
    frame, _ = read_shopping_log(path, "amazon")
    _check(path, frame)
    events = (
        SHOPPING_LOGS["amazon"]
        .to_events(frame.lazy())
        .select(
            "user_id",
            "item_id",
            "category_id",
            "event_type",
            pl.col("event_time_ms").cast(pl.Int64),
            pl.col("price").cast(pl.Float64),
            pl.col("split").replace_strict(_SPLITS),
        )
        .sort("event_time_ms", maintain_order=True)
        .collect()
    )
    codes = {name: code for code, name in enumerate(SPLITS)}
    splits: NDArray[np.int64] = (
        events["split"].replace_strict(codes, return_dtype=pl.Int64).to_numpy()
    )
    log = events.drop("split")
    types = tuple(name for name in EVENT_TYPES if (events["event_type"] == name).any())
    sampled = make_samples(log, splits, SamplingPlan(types, policy, seed=seed), on_drawn)
    state = StateConfig(
        event_types=EVENT_TYPES,
        behavior_types=EVENT_TYPES,
        subsequence_types=EVENT_TYPES,
        memory_types=EVENT_TYPES,
    )
    return Converted(log, sampled.samples, state, sampled.notes)


def _check(path: Path, frame: pl.DataFrame) -> None:
    """Refuse rows that are no reviews; brand, category and price may lack."""
    rating = pl.col("rating").cast(pl.Float64, strict=False)
    time = pl.col("timestamp").cast(pl.Int64, strict=False)
    price = pl.col("price").cast(pl.Float64, strict=False)
    made = typed(
        path,
        frame,
        {
            "timestamp": pl.when(time.is_between(EARLIEST_TIME_MS, LATEST_TIME_MS)).then(time),
            "user_id": pl.col("user_id"),
            "item_id": pl.col("item_id"),
            "price": pl.when(price.is_between(0, MAX_PRICE)).then(price),
            "rating": pl.when(rating.is_between(*_RATINGS)).then(rating),
            "split": pl.col("split").replace_strict(_SPLITS, default=None),
        },
    )
    check_filled(path, made, ("timestamp", "user_id", "item_id", "rating", "split"))
