"""Taobao: made-up behaviours become events, clicks become samples, wrong rows are refused."""

from pathlib import Path

import pytest
from past_only import check_past_only, of_some_users
from real_log_files import real_log

from interest_center.core.errors import ConfigurationError
from models.adapters.taobao import convert_taobao
from models.negatives import UNIFORM, Policy

POLICY = Policy(UNIFORM, 1)
START = 1_511_544_000
HOUR = 3600


def behaviours(n: int = 120) -> str:
    """Return an hour's steps of two users over five days, user by user; the last line is cut."""
    kinds = ("pv", "pv", "cart", "pv", "fav", "buy")
    rows = [
        f"{user},{100 + (k * 7 + user) % 30},{10 + (k * 7 + user) % 30 % 4},"
        f"{kinds[(k + user) % 6]},{START + k * HOUR}\n"
        for user in (1, 2)
        for k in range(n)
    ]
    return "".join(rows) + "3,100,10,p"


def write(directory: Path, text: str) -> Path:
    (directory / "UserBehavior.csv").write_text(text)
    return directory


def test_behaviours_become_events_and_clicks_samples(tmp_path: Path) -> None:
    converted = convert_taobao(write(tmp_path, behaviours()), POLICY)
    assert converted.events.head(4).rows() == [
        (1, 101, 11, "click", START * 1000),
        (2, 102, 12, "cart", START * 1000),
        (1, 108, 10, "cart", (START + HOUR) * 1000),
        (2, 109, 11, "click", (START + HOUR) * 1000),
    ]
    positives = converted.samples.filter(label=1)
    clicks = converted.events.filter(event_type="click")
    assert len(positives) == len(clicks) - 1
    n = dict(positives.group_by("split").len().iter_rows())
    assert (n["validation"], n["test"]) == (24, 24)
    assert positives["trigger_item_id"].null_count() == 1
    assert converted.notes[0] == "the last line is cut short and left out"


def test_a_sample_sees_its_past_alone(tmp_path: Path) -> None:
    check_past_only(convert_taobao(write(tmp_path, behaviours()), POLICY), tmp_path / "tables")


def test_the_file_may_lie_in_raw(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    write(tmp_path / "raw", behaviours())
    assert len(convert_taobao(tmp_path, POLICY).events) == 240


@pytest.mark.parametrize(
    ("old", "new", "fact"),
    [
        ("1,101,11,pv,", "1,101,11,look,", "column behaviour of .* the first is row 1: 'look'"),
        (f"pv,{START}\n", "pv,soon\n", "column time of .* the first is row 1: 'soon'"),
        (f"pv,{START}\n", f"pv,{START}000\n", "column time of .* the first is row 1"),
        ("1,108,", "1,x108,", "column item_id of .* the first is row 2: 'x108'"),
        ("1,108,10,", "1,108,,", "column category_id of .* is empty in .*the first is row 2"),
    ],
)
def test_wrong_rows_are_refused(tmp_path: Path, old: str, new: str, fact: str) -> None:
    with pytest.raises(ConfigurationError, match=fact) as caught:
        convert_taobao(write(tmp_path, behaviours().replace(old, new)), POLICY)
    assert str(tmp_path / "UserBehavior.csv") in caught.value.message
    assert caught.value.hint


def test_a_file_of_other_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="UserBehavior"):
        convert_taobao(write(tmp_path, "1,2,3\n"), POLICY)
    (tmp_path / "UserBehavior.csv").unlink()
    with pytest.raises(ConfigurationError, match=r"has no UserBehavior\.csv"):
        convert_taobao(tmp_path, POLICY)


def test_the_real_log(tmp_path: Path) -> None:
    converted = convert_taobao(real_log("taobao-userbehavior-prefix"), POLICY)
    types = dict(converted.events.group_by("event_type").len().iter_rows())
    assert types == {"click": 75_872, "cart": 4_497, "favorite": 2_356, "purchase": 1_750}
    assert converted.samples["label"].mean() == 0.5
    check_past_only(of_some_users(converted, 60), tmp_path)
