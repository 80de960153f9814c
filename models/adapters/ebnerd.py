"""EB-NeRD (Ekstra Bladet news, RecSys Challenge 2024): impressions of articles as canonical tables.

A sample is an article in view, its label whether it was clicked in this impression; all articles of
an impression share its time, which is when the page was opened. The trigger is the article that the
reader was on; on the front page there is none. The earlier of the two weeks trains, its last day
validates, the later week tests.

An event is the opening of an article. It is known from the reading histories and from the
impressions themselves: a trigger is opened at the impression's time, and a clicked article when the
page was left, ``read_time`` later (in the histories, which hold the same clicks of the earlier
week, 98 % of them stand within two seconds of that). How long an article was read and how far it
was scrolled is known only after the event, so neither is in it.

Deviations from the challenge: its histories end where each week begins; here a sample also sees
the openings of its own week, as a live system does. So that training and test see openings of one
kind, those of the histories end where the first week begins, and the later ones are those of the
impressions, in both weeks. None of them is counted twice: 26,553 of the 26,882 openings of the
earlier week, by users whose histories cover it, are within five seconds of a record of their own
there. The published copy of the log without ``articles.parquet`` has no
categories: ``category_id`` is the age of the article instead, the time since it was first seen in
the log, known at the sample's own moment. That belongs to no paper; most articles of the later week
are new, and nothing else is known of a new one. Times carry no zone and are taken as UTC.
"""

from pathlib import Path

import polars as pl

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from models.adapters.converted import Converted
from models.adapters.raw_files import check_columns, check_filled, find_file, read_texts, typed
from models.durations import DAY_MS

IMPRESSIONS_FILE = "impressions.csv.gz"
HISTORY_FILE = "history.csv.gz"
EARLIER_WEEK, LATER_WEEK = "train", "validation"
EVENT_TYPE = "click"

_SAME_OPENING_MS = 5_000
_HOURS_OF_AGE = (1, 3, 6, 12, 24, 72, 168)
_AGE_EDGES_MS = [hours * 3_600_000 for hours in _HOURS_OF_AGE]
_AGES = [f"age<{hours}h" for hours in _HOURS_OF_AGE] + ["older"]
_WEEKS = {EARLIER_WEEK: EARLIER_WEEK, LATER_WEEK: LATER_WEEK}


def convert_ebnerd(directory: Path) -> Converted:
    """Turn impressions and histories into events and samples.

    Args:
        directory: Holds ``impressions.csv.gz`` and ``history.csv.gz``.

    Raises:
        ConfigurationError: A file is missing or holds what it must not, or a week has no rows.
    """
    impressions = _impressions(directory)
    history = _history(directory)
    shown = impressions.explode("inview").with_columns(
        item_id="inview", label=pl.col("clicked").list.contains(pl.col("inview")).cast(pl.Int8)
    )
    read = _openings(impressions, history)
    first = _first_seen(shown, read, history)
    samples = _with_ages(shown, first, "time_ms").select(
        "user_id", "item_id", "category_id", "time_ms", "label", "split",
        "trigger_item_id", "trigger_category_id",
    )  # fmt: skip
    events = _with_ages(read, first, "event_time_ms").select(
        "user_id", "item_id", "category_id", "event_type", "event_time_ms"
    )
    unseen = impressions["clicked"].list.set_difference(impressions["inview"]).list.len().sum()
    notes = [
        "articles have no categories in this copy of the log: category_id is the age of the article"
    ]
    if unseen:
        notes.append(f"{unseen:,} clicked articles were not in view and make no sample")
    return Converted(events, samples, StateConfig(), tuple(notes))


def _impressions(directory: Path) -> pl.DataFrame:
    """Return user, time, trigger, articles in view and clicked of each impression, and its split.

    ``left_ms`` is when the page was left.
    """
    path = find_file(directory, IMPRESSIONS_FILE)
    frame = read_texts(path)
    needed = ("split", "user_id", "impression_time", "inview", "clicked", "read_time")
    check_columns(path, frame, (*needed, "trigger_article_id"), "EB-NeRD")
    read_time = pl.col("read_time").cast(pl.Float64, strict=False)
    made = typed(
        path,
        frame,
        {
            "split": pl.col("split").replace_strict(_WEEKS, default=None),
            "user_id": pl.col("user_id").cast(pl.Int64, strict=False),
            "impression_time": _milliseconds("impression_time"),
            "inview": _ids("inview"),
            "clicked": _ids("clicked"),
            "read_time": pl.when(read_time.is_between(0, 86_400)).then(read_time),
            "trigger_article_id": pl.col("trigger_article_id").cast(pl.Int64, strict=False),
        },
    )
    check_filled(path, made, needed)
    first = {week: made.filter(split=week)["impression_time"].min() for week in _WEEKS}
    if None in first.values():
        raise ConfigurationError(
            f"{path} lacks one of the weeks {', '.join(_WEEKS)} in column split",
            hint="both weeks are needed: one to train, one to test",
        )
    last = pl.col("impression_time").filter(split=EARLIER_WEEK).max()
    return made.select(
        "user_id",
        "inview",
        "clicked",
        time_ms="impression_time",
        trigger_item_id="trigger_article_id",
        left_ms=pl.col("impression_time") + (pl.col("read_time") * 1000).cast(pl.Int64),
        split=pl.when(split=LATER_WEEK)
        .then(pl.lit("test"))
        .when(pl.col("impression_time") > last - DAY_MS)
        .then(pl.lit("validation"))
        .otherwise(pl.lit("train")),
    )


def _history(directory: Path) -> pl.DataFrame:
    """Return user, article and time of each opening in the histories of either week, once."""
    path = find_file(directory, HISTORY_FILE)
    frame = read_texts(path)
    needed = ("user_id", "click_time", "article_id")
    check_columns(path, frame, needed, "EB-NeRD")
    made = typed(
        path,
        frame,
        {
            "user_id": pl.col("user_id").cast(pl.Int64, strict=False),
            "click_time": _milliseconds("click_time"),
            "article_id": pl.col("article_id").cast(pl.Int64, strict=False),
        },
    )
    check_filled(path, made, needed)
    return made.select("user_id", item_id="article_id", event_time_ms="click_time").unique()


def _openings(impressions: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """Return the events: of the histories until the first impression, then of the impressions."""
    columns = ("user_id", "item_id", "event_time_ms")
    before = history.filter(pl.col("event_time_ms") < impressions["time_ms"].min())
    clicked = impressions.explode("clicked").select(
        "user_id", item_id="clicked", event_time_ms="left_ms"
    )
    on = impressions.drop_nulls("trigger_item_id").select(
        "user_id", item_id="trigger_item_id", event_time_ms="time_ms"
    )
    openings = pl.concat([part.select(columns) for part in (before, clicked, on)]).sort(columns)
    # An article clicked on one page is the trigger of the next: one opening, a second apart.
    since = pl.col("event_time_ms").diff().over("user_id", "item_id")
    single = openings.filter(since.is_null() | (since > _SAME_OPENING_MS))
    return single.sort("event_time_ms", "user_id", "item_id").with_columns(
        event_type=pl.lit(EVENT_TYPE), trigger_item_id=pl.lit(None, pl.Int64)
    )


def _first_seen(shown: pl.DataFrame, *opened: pl.DataFrame) -> pl.DataFrame:
    """Return when each article was first in view or opened by anyone, as ``first_ms``."""
    times = [shown.select("item_id", "time_ms")]
    times += [part.select("item_id", time_ms="event_time_ms") for part in opened]
    return pl.concat(times).group_by("item_id").agg(first_ms=pl.col("time_ms").min())


def _with_ages(table: pl.DataFrame, first: pl.DataFrame, time: str) -> pl.DataFrame:
    """Add the age of item and trigger at the time of each row; rows keep their order."""
    for item, category in (
        ("item_id", "category_id"),
        ("trigger_item_id", "trigger_category_id"),
    ):
        known = table.join(
            first.rename({"item_id": item}), on=item, how="left", maintain_order="left"
        )
        age_ms = known[time] - known["first_ms"]
        place = pl.Series(_AGE_EDGES_MS).search_sorted(age_ms.fill_null(0), side="right")
        named = pl.Series(_AGES)[place].set(age_ms.is_null(), None)
        table = known.with_columns(named.alias(category)).drop("first_ms")
    return table


def _milliseconds(name: str) -> pl.Expr:
    """Return a time like ``2023-05-18 07:00:03`` or ``2023-05-18T07:00:03`` as milliseconds."""
    text = pl.col(name).str.replace("T", " ", literal=True)
    return text.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False).dt.epoch("ms")


def _ids(name: str) -> pl.Expr:
    """Return ids with spaces between them as a list; null where one is none."""
    ids = pl.col(name).str.split(" ").cast(pl.List(pl.Int64), strict=False)
    return pl.when(~ids.list.eval(pl.element().is_null()).list.any()).then(ids)
