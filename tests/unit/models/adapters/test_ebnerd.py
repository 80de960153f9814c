"""EB-NeRD: made-up impressions become samples, openings become events, wrong rows are refused."""

from pathlib import Path

import polars as pl
import pytest
from past_only import check_past_only, of_some_users
from real_log_files import real_log

from interest_center.core.errors import ConfigurationError
from models.adapters.ebnerd import convert_ebnerd

HEAD = "split,impression_time,user_id,trigger_article_id,inview,clicked,read_time"
IMPRESSIONS = f"""{HEAD}
train,2023-05-18 07:00:00,7,,101 102 103,102,30.0
train,2023-05-18 07:00:31,7,102,103 104,104,10.0
train,2023-05-18 09:00:00,8,,101 102,101 102,0.0
train,2023-05-25 06:00:00,7,,105 106,106,5.0
validation,2023-05-25 08:00:00,8,101,106 107,107,20.0
validation,2023-05-26 08:00:00,8,,101 107,101,9.5
"""
HISTORY = """split,user_id,click_time,article_id,scroll_percentage,read_time
train,7,2023-05-10T10:00:00,101,50,12
validation,7,2023-05-10T10:00:00,101,50,12
validation,7,2023-05-18T07:00:30,102,,9
train,8,2023-05-11T10:00:00,103,,1
"""


def write(directory: Path, impressions: str = IMPRESSIONS, history: str = HISTORY) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "impressions.csv.gz").write_text(impressions)
    (directory / "history.csv.gz").write_text(history)
    return directory


def texts(table: pl.DataFrame, time: str, *names: str) -> list[tuple[object, ...]]:
    """Return rows with the time as people write it."""
    day = pl.from_epoch(time, time_unit="ms").dt.strftime("%d %H:%M:%S")
    return table.select(day, *names).rows()


def test_impressions_become_samples(tmp_path: Path) -> None:
    converted = convert_ebnerd(write(tmp_path))
    columns = ("user_id", "item_id", "label", "split", "trigger_item_id")
    assert texts(converted.samples, "time_ms", *columns) == [
        ("18 07:00:00", 7, 101, 0, "train", None),
        ("18 07:00:00", 7, 102, 1, "train", None),
        ("18 07:00:00", 7, 103, 0, "train", None),
        ("18 07:00:31", 7, 103, 0, "train", 102),
        ("18 07:00:31", 7, 104, 1, "train", 102),
        ("18 09:00:00", 8, 101, 1, "train", None),
        ("18 09:00:00", 8, 102, 1, "train", None),
        ("25 06:00:00", 7, 105, 0, "validation", None),
        ("25 06:00:00", 7, 106, 1, "validation", None),
        ("25 08:00:00", 8, 106, 0, "test", 101),
        ("25 08:00:00", 8, 107, 1, "test", 101),
        ("26 08:00:00", 8, 101, 1, "test", None),
        ("26 08:00:00", 8, 107, 0, "test", None),
    ]
    assert len(converted.notes) == 1


def test_openings_become_events_once(tmp_path: Path) -> None:
    converted = convert_ebnerd(write(tmp_path))
    # The history of the week itself is not read; the trigger 102 is the click of a second before.
    assert texts(converted.events, "event_time_ms", "user_id", "item_id") == [
        ("10 10:00:00", 7, 101),
        ("11 10:00:00", 8, 103),
        ("18 07:00:30", 7, 102),
        ("18 07:00:41", 7, 104),
        ("18 09:00:00", 8, 101),
        ("18 09:00:00", 8, 102),
        ("25 06:00:05", 7, 106),
        ("25 08:00:00", 8, 101),
        ("25 08:00:20", 8, 107),
        ("26 08:00:09", 8, 101),
    ]


def test_an_article_is_as_old_as_the_log_knows_by_then(tmp_path: Path) -> None:
    samples = convert_ebnerd(write(tmp_path)).samples
    ages = texts(samples, "time_ms", "item_id", "category_id", "trigger_category_id")
    assert ages[:5] == [
        ("18 07:00:00", 101, "older", None),
        ("18 07:00:00", 102, "age<1h", None),
        ("18 07:00:00", 103, "age<168h", None),
        ("18 07:00:31", 103, "age<168h", "age<1h"),
        ("18 07:00:31", 104, "age<1h", "age<1h"),
    ]
    assert ages[-4:] == [
        ("25 08:00:00", 106, "age<3h", "older"),
        ("25 08:00:00", 107, "age<1h", "older"),
        ("26 08:00:00", 101, "older", None),
        ("26 08:00:00", 107, "age<72h", None),
    ]


def test_a_sample_sees_its_past_alone(tmp_path: Path) -> None:
    check_past_only(convert_ebnerd(write(tmp_path)), tmp_path / "tables")


def test_the_future_changes_no_sample(tmp_path: Path) -> None:
    later = "validation,2023-05-27 08:00:00,7,105,101 102 999,102,0.0\n"
    read = "validation,8,2023-05-25T05:00:00,107,,9\n"
    before = convert_ebnerd(write(tmp_path))
    after = convert_ebnerd(write(tmp_path, IMPRESSIONS + later, HISTORY + read))
    assert after.samples.filter(pl.col("split") == "train").equals(
        before.samples.filter(pl.col("split") == "train")
    )
    n = len(before.events)
    assert after.events["event_time_ms"][:n].equals(before.events["event_time_ms"])
    assert after.events["item_id"][:n].equals(before.events["item_id"])


def test_clicks_out_of_view_are_counted(tmp_path: Path) -> None:
    impressions = IMPRESSIONS.replace("103 104,104", "103 104,109")
    converted = convert_ebnerd(write(tmp_path, impressions))
    assert converted.notes[1] == "1 clicked articles were not in view and make no sample"


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("101 102 103", "101 x 103", "column inview of .* the first is row 1: '101 x 103'"),
        ("2023-05-26 08", "26/05/2023 08", "column impression_time of .* the first is row 6"),
        (",7,102,", ",,102,", "column user_id of .* is empty in 1 rows, the first is row 2"),
        (
            "validation,2023-05-26",
            "test,2023-05-26",
            "column split of .* the first is row 6: 'test'",
        ),
        ("10.0", "-1", "column read_time of .* the first is row 2: '-1'"),
        ("validation,", "train,", "lacks one of the weeks train, validation"),
        ("clicked", "chosen", "lacks the columns clicked of the EB-NeRD log"),
    ],
)
def test_wrong_impressions_are_refused(tmp_path: Path, old: str, new: str, fact: str) -> None:
    with pytest.raises(ConfigurationError, match=fact) as caught:
        convert_ebnerd(write(tmp_path, IMPRESSIONS.replace(old, new)))
    assert str(tmp_path / "impressions.csv.gz") in caught.value.message
    assert caught.value.hint


def test_a_wrong_history_is_refused(tmp_path: Path) -> None:
    write(tmp_path, history=HISTORY.replace(",103,", ",one,"))
    with pytest.raises(ConfigurationError, match=r"article_id of .*history.* row 4: 'one'"):
        convert_ebnerd(tmp_path)


def test_the_real_log(tmp_path: Path) -> None:
    converted = convert_ebnerd(real_log("ebnerd-demo"))
    n = dict(converted.samples.group_by("split").len().iter_rows())
    assert (n["train"] + n["validation"], n["test"]) == (278_139, 304_915)
    triggered = converted.samples.drop_nulls("trigger_item_id")
    assert len(triggered) == 88_493 + 87_551
    assert triggered["trigger_category_id"].null_count() == 0
    check_past_only(of_some_users(converted, 60), tmp_path)
