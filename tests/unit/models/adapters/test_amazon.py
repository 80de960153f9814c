"""Amazon: made-up reviews become events and samples with negatives, wrong ones are refused."""

from pathlib import Path

import pytest
from past_only import check_past_only, of_some_users
from real_log_files import real_log

from interest_center.core.errors import ConfigurationError
from models.adapters.amazon import convert_amazon
from models.negatives import POPULARITY, Policy

POLICY = Policy(POPULARITY, 2)
HEAD = "timestamp,user_id,item_id,category,brand,price,rating,split\n"


def reviews(n: int = 60) -> str:
    """Return reviews of three users, newest first: 40 for training, 10 and 10."""
    rows = [
        f"{1_600_000_000_000 + k * 1000},U{k % 3},B{k * 7 % 20:02d},"
        f'"Cables, c{k * 7 % 20 % 3}",Acme,{k * 7 % 20 if k * 7 % 20 else ""},'
        f"{k % 5 + 1}.0,{'train' if k < 40 else 'val' if k < 50 else 'test'}\n"
        for k in range(n)
    ]
    return HEAD + "".join(reversed(rows))


def write(directory: Path, text: str) -> Path:
    (directory / "stream.csv.gz").write_text(text)
    return directory


def test_reviews_become_events_and_samples(tmp_path: Path) -> None:
    converted = convert_amazon(write(tmp_path, reviews()), POLICY)
    assert converted.events.head(4).rows() == [
        ("U0", "B00", "Cables, c0", "dislike", 1_600_000_000_000, None),
        ("U1", "B07", "Cables, c1", "dislike", 1_600_000_001_000, 7.0),
        ("U2", "B14", "Cables, c2", "view", 1_600_000_002_000, 14.0),
        ("U0", "B01", "Cables, c1", "purchase", 1_600_000_003_000, 1.0),
    ]
    positives = converted.samples.filter(label=1)
    assert dict(positives.group_by("split").len().iter_rows()) == {
        "train": 37, "validation": 10, "test": 10,
    }  # fmt: skip
    assert positives.head(1).rows() == [
        ("U0", "B01", "Cables, c1", 1.0, 1_600_000_003_000, 1, "train")
    ]
    prices = converted.events.select("item_id", "price").unique()
    assert converted.samples.join(prices, on=["item_id", "price"], nulls_equal=True).height == len(
        converted.samples
    )
    assert converted.notes[0].startswith("3 events of users without an earlier event")


def test_a_sample_sees_its_past_alone(tmp_path: Path) -> None:
    text = reviews().replace("1600000006000", "1600000009000")
    check_past_only(convert_amazon(write(tmp_path, text), POLICY), tmp_path / "tables")


def test_a_seed_decides(tmp_path: Path) -> None:
    write(tmp_path, reviews())
    one, same, other = (convert_amazon(tmp_path, POLICY, seed).samples for seed in (1, 1, 2))
    assert one.equals(same)
    assert not one.equals(other)


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("1600000059000", "1600000059", "column timestamp of .* the first is row 1: '1600000059'"),
        (",U2,", ",,", "column user_id of .* is empty in 20 rows, the first is row 1"),
        ("Acme,7,", "Acme,cheap,", "column price of .* 'cheap'"),
        ("5.0,test", "6.0,test", "column rating of .* the first is row 1: '6.0'"),
        (",val", ",dev", "column split of .* the first is row 11: 'dev'"),
        (",rating", ",stars", "has columns .*stars.* the amazon log has"),
        (",val", ",train", "a split has no positive .*validation 0"),
    ],
)
def test_wrong_reviews_are_refused(tmp_path: Path, old: str, new: str, fact: str) -> None:
    with pytest.raises(ConfigurationError, match=fact) as caught:
        convert_amazon(write(tmp_path, reviews().replace(old, new)), POLICY)
    assert caught.value.hint


def test_the_real_log(tmp_path: Path) -> None:
    converted = convert_amazon(real_log("amazon-electronics-2023"), Policy(POPULARITY, 1))
    assert len(converted.events) == 131_154
    positives = converted.samples.filter(label=1)
    n = dict(positives.group_by("split").len().iter_rows())
    assert n["train"] <= 111_481 - 15_038
    assert (6557 - n["validation"], 13_116 - n["test"]) == (76, 154)
    check_past_only(of_some_users(converted, 200), tmp_path)
