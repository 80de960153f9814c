"""MovieLens: made-up ratings become events and samples, wrong ones are refused."""

from pathlib import Path

import polars as pl
import pytest
from past_only import check_past_only, of_some_users
from real_log_files import real_log

from interest_center.core.errors import ConfigurationError
from models.adapters.movielens import PUBLISHED_ROWS, convert_movielens

RATINGS = """user,item,rating,timestamp,src,split
1,10,5,978300000,0,train
1,11,3,978300000,0,train
1,12,4,978300010,0,-
1,10,2,978300020,0,val
2,11,1,978300005,0,train
2,10,4,978300006,0,test
"""
MOVIES = "10::Toy Story (1995)::Animation|Comedy\n11::Café (1990)::Drama\n12::Heat::Crime\n"
ALL_TYPES = ["rate1", "rate2", "rate3", "rate4", "rate5"]


def write(directory: Path, ratings: str = RATINGS, movies: str = MOVIES) -> Path:
    (directory / "ratings_rebuilt.csv.gz").write_text(ratings)
    (directory / "movies.dat").write_bytes(movies.encode("latin-1"))
    return directory


def test_ratings_become_events_and_samples(tmp_path: Path) -> None:
    converted = convert_movielens(write(tmp_path))
    assert converted.events.rows() == [
        (1, 10, "Animation|Comedy", "rate5", 978_300_000_000, 0),
        (1, 11, "Drama", "rate3", 978_300_000_000, 1),
        (1, 10, "Animation|Comedy", "rate2", 978_300_020_000, 3),
        (2, 11, "Drama", "rate1", 978_300_005_000, 4),
        (2, 10, "Animation|Comedy", "rate4", 978_300_006_000, 5),
    ]
    names = ("user_id", "item_id", "category_id", "time_ms", "order", "split", "label")
    assert converted.samples.columns == list(names)
    # A training sample without an earlier rating is none.
    assert converted.samples.rows() == [
        (1, 11, "Drama", 978_300_000_000, 1, "train", 0),
        (1, 10, "Animation|Comedy", 978_300_020_000, 3, "validation", 0),
        (2, 10, "Animation|Comedy", 978_300_006_000, 5, "test", 1),
    ]
    assert list(converted.state.event_types) == ALL_TYPES
    assert converted.notes[0].startswith(
        "1 ratings that the split does not use are left out, and 2"
    )
    assert "ReChorus prints" in converted.notes[1]


def test_without_types_no_event_tells_its_rating(tmp_path: Path) -> None:
    converted = convert_movielens(write(tmp_path), with_types=False)
    assert set(converted.events["event_type"]) == {"rate"}
    assert converted.state.memory_types == ("rate",)


def test_a_sample_sees_its_past_alone(tmp_path: Path) -> None:
    check_past_only(convert_movielens(write(tmp_path)), tmp_path / "tables")


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("1,10,5,", "1,10,6,", "column rating of .* in 1 rows, the first is row 1: '6'"),
        ("2,11,1,", "2,,1,", "column item of .* is empty in 1 rows, the first is row 5"),
        ("0,val", "0,dev", "column split of .* the first is row 4: 'dev'"),
        ("978300010", "noon", "column timestamp of .* the first is row 3: 'noon'"),
        ("1,10,5,", "1,x10,5,", "column item of .* the first is row 1: 'x10'"),
        ("978300010", "978300010000", "column timestamp of .* the first is row 3: '978300010000'"),
        ("978300010", "-5", "column timestamp of .* the first is row 3: '-5'"),
        ("rating", "stars", "lacks the columns rating of the MovieLens log"),
    ],
)
def test_wrong_ratings_are_refused(tmp_path: Path, old: str, new: str, fact: str) -> None:
    with pytest.raises(ConfigurationError, match=fact) as caught:
        convert_movielens(write(tmp_path, RATINGS.replace(old, new)))
    assert str(tmp_path / "ratings_rebuilt.csv.gz") in caught.value.message
    assert caught.value.hint


def test_wrong_movies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"line 2 of .*movies\.dat is not id::"):
        convert_movielens(write(tmp_path, movies=MOVIES.replace("11::", "11:")))
    for no_id in ("\u00b2", "-1", "1" * 20):
        movies = "\n" + MOVIES.replace("11::", f"{no_id}::")
        with pytest.raises(ConfigurationError, match=r"line 3 of .*movies\.dat is not id::"):
            convert_movielens(write(tmp_path, movies=movies))
    (tmp_path / "movies.dat").unlink()
    with pytest.raises(ConfigurationError, match=r"has no movies\.dat"):
        convert_movielens(tmp_path)


def test_the_real_log(tmp_path: Path) -> None:
    converted = convert_movielens(real_log("ml-1m-rebuilt"))
    assert len(converted.events) == sum(PUBLISHED_ROWS.values())
    assert len(converted.notes) == 1
    positives = converted.samples.group_by("split").agg(pl.col("label").cast(pl.Int64).sum())
    counted = dict(positives.iter_rows())
    assert (counted["validation"], counted["test"]) == (2651, 2874)
    assert converted.events["category_id"].null_count() == 0
    check_past_only(of_some_users(converted, 60), tmp_path)
