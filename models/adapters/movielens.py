"""MovieLens-1M with the split of ReChorus 2.0 (``ML_1MCTR``) as canonical tables.

Source: Li et al. 2024 (ReChorus 2.0, arXiv 2405.18058) and its notebook. A sample is a rating, its
label whether the rating is 4 or 5; its history is every earlier rating of the user in the order of
the file, whatever its label. Rows that the split does not use (``-``) are in no history either, as
there. The history holds the rating as event type, which the published rows did not use; without
types it is theirs. Deviation: only training samples without a history are left out.
"""

from pathlib import Path

import polars as pl

from interest_center.core.errors import ConfigurationError
from interest_center.core.events import EARLIEST_TIME_MS, LATEST_TIME_MS
from interest_center.core.layout import StateConfig
from models.adapters.converted import Converted
from models.adapters.raw_files import check_columns, check_filled, find_file, read_texts, typed
from models.durations import DAY_MS

RATINGS_FILE = "ratings_rebuilt.csv.gz"
MOVIES_FILE = "movies.dat"
UNUSED = "-"
#: Rows of each split as the authors' notebook prints them.
PUBLISHED_ROWS = {"train": 983_836, "validation": 5_190, "test": 5_176}

_SPLITS = {"train": "train", "val": "validation", "test": "test", UNUSED: UNUSED}
_TYPES = ("rate1", "rate2", "rate3", "rate4", "rate5")
_ONE_TYPE = ("rate",)
_LIKED_FROM = 4
#: Seconds that the event contract knows.
_TIMES = (EARLIEST_TIME_MS // 1000, LATEST_TIME_MS // 1000)
_ID_DIGITS = 19
#: No rating is late: a user of MovieLens may rate on after years. Not of the paper.
_LATE_AFTER_MS = 10 * 365 * DAY_MS


def convert_movielens(directory: Path, with_types: bool = True) -> Converted:
    """Turn the ratings into events and samples.

    Args:
        directory: Holds ``ratings_rebuilt.csv.gz`` and ``movies.dat``.
        with_types: Whether an event says its rating (``rate1`` to ``rate5``) or just ``rate``.

    Raises:
        ConfigurationError: A file is missing or holds what it must not.
    """
    ratings = _ratings(directory)
    used = ratings.filter(pl.col("split") != UNUSED)
    table = used.join(_genres(directory), on="item_id", how="left", maintain_order="left")
    kept = (pl.col("split") != "train") | (pl.int_range(pl.len()).over("user_id") > 0)
    types = _TYPES if with_types else _ONE_TYPE
    kind = pl.format("rate{}", "rating") if with_types else pl.lit(_ONE_TYPE[0])
    ids = ("user_id", "item_id", "category_id")
    events = table.select(*ids, event_type=kind, event_time_ms="time_ms", order="order")
    samples = table.filter(kept).select(
        *ids, "time_ms", "order", "split", label=(pl.col("rating") >= _LIKED_FROM).cast(pl.Int8)
    )
    notes = [
        f"{len(ratings) - len(used):,} ratings that the split does not use are left out, and "
        f"{len(used) - len(samples):,} training samples without an earlier rating"
    ]
    rows = {name: used["split"].eq(name).sum() for name in PUBLISHED_ROWS}
    if rows != PUBLISHED_ROWS:
        notes.append(f"the splits have {rows} rows, ReChorus prints {PUBLISHED_ROWS}")
    return Converted(events, samples, _state(types), tuple(notes))


def _state(types: tuple[str, ...]) -> StateConfig:
    """Return rules by which every rating feeds every part of a state."""
    return StateConfig(
        event_types=types,
        behavior_types=types,
        subsequence_types=types,
        memory_types=types,
        late_after_ms=_LATE_AFTER_MS,
    )


def _ratings(directory: Path) -> pl.DataFrame:
    """Return the ratings in the order of the file; ``order`` is their row number."""
    path = find_file(directory, RATINGS_FILE)
    frame = read_texts(path)
    columns = ("user", "item", "rating", "timestamp", "split")
    check_columns(path, frame, columns, "MovieLens")
    rating = pl.col("rating").cast(pl.Int8, strict=False)
    time = pl.col("timestamp").cast(pl.Int64, strict=False)
    made = typed(
        path,
        frame,
        {
            "user": pl.col("user").cast(pl.Int64, strict=False),
            "item": pl.col("item").cast(pl.Int64, strict=False),
            "rating": pl.when(rating.is_between(1, len(_TYPES))).then(rating),
            "timestamp": pl.when(time.is_between(*_TIMES)).then(time),
            "split": pl.col("split").replace_strict(_SPLITS, default=None),
        },
    )
    check_filled(path, made, columns)
    return made.select(
        "rating",
        "split",
        user_id="user",
        item_id="item",
        time_ms=pl.col("timestamp") * 1000,
        order=pl.int_range(pl.len()),
    )


def _is_id(text: str) -> bool:
    # Other digits than 0 to 9 and numbers beyond 64 bits are no ids of this log.
    return text.isascii() and text.isdigit() and len(text) < _ID_DIGITS


def _genres(directory: Path) -> pl.DataFrame:
    """Return the genres of each movie as one category id, for example ``Action|Drama``."""
    path = find_file(directory, MOVIES_FILE)
    try:
        lines = path.read_text("latin-1").splitlines()
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    numbered = {k: line.split("::") for k, line in enumerate(lines, 1) if line}
    wrong = [k for k, movie in numbered.items() if len(movie) != 3 or not _is_id(movie[0])]
    if wrong:
        raise ConfigurationError(
            f"line {wrong[0]} of {path} is not id::title::genres", hint="correct this line"
        )
    movies = numbered.values()
    return pl.DataFrame(
        {
            "item_id": pl.Series([int(movie[0]) for movie in movies], dtype=pl.Int64),
            "category_id": pl.Series([movie[2] for movie in movies], dtype=pl.String),
        }
    ).unique("item_id")
