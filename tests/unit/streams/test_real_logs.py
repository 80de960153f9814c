"""The two public logs, made up: their columns, words and order become those of our events."""

import gzip
from pathlib import Path

import pytest

from interest_center.core.errors import ConfigurationError
from interest_center.core.event_decoder import BadEventError
from interest_center.core.layout import DEFAULT_EVENT_TYPES
from streams.input_files import STDIN
from streams.real_logs import open_real_log
from streams.row_events import RowMapping, RowReader

TAOBAO = """1,100,10,pv,1511544070
2,200,20,buy,1511544050
1,101,10,cart,1511544070
3,300,30,fav,1511544060
3,300,30,stare,1511544065
4,400,40,pv,soon
"""
AMAZON = """timestamp,user_id,item_id,category,brand,price,rating,split
1600000000300,AE1,B01,Headphones,Acme,19.99,5.0,train
1600000000100,AE2,B02,"Cables, long",,,3.0,train
1600000000200,AE1,B03,Headphones,Acme,7,1.0,valid
1600000000400,AE3,B03,,Acme,,4.0,test
1600000000500,AE3,B03,Headphones,Acme,7,,test
1600000000600,AE3,B03,,Acme,cheap,4.0,test
"""


def replayed(path: Path, name: str) -> list[tuple[object, ...]]:
    """Return number and content, or number and reason, of each row in the order of the replay."""
    table = open_real_log(path, name)
    mapping = RowMapping()
    mapping.check(table)
    reader = RowReader(mapping, DEFAULT_EVENT_TYPES)
    found: list[tuple[object, ...]] = []
    for row in table.rows(0):
        try:
            e = reader.event(row)
        except BadEventError as bad:
            found.append((row.number, bad.reason, bad.field))
        else:
            found.append(
                (row.number, e.user_id, e.item_id, e.category_id, e.event_type, e.event_time_ms,
                 e.price)
            )  # fmt: skip
    return found


def test_taobao(tmp_path: Path) -> None:
    path = tmp_path / "UserBehavior.csv"
    path.write_text(TAOBAO)
    wanted: list[tuple[object, ...]] = [
        (6, "wrong_type", "event_time_ms"),
        (2, "2", "200", "20", "purchase", 1_511_544_050_000, None),
        (4, "3", "300", "30", "favorite", 1_511_544_060_000, None),
        (5, "unknown_event_type", "event_type"),
        (1, "1", "100", "10", "click", 1_511_544_070_000, None),
        (3, "1", "101", "10", "cart", 1_511_544_070_000, None),
    ]
    assert replayed(path, "taobao") == wanted
    packed = tmp_path / "UserBehavior.csv.gz"
    packed.write_bytes(gzip.compress(TAOBAO.encode()))
    assert replayed(packed, "taobao") == wanted


def test_amazon(tmp_path: Path) -> None:
    path = tmp_path / "electronics.csv"
    path.write_text(AMAZON)
    assert replayed(path, "amazon") == [
        (2, "AE2", "B02", "Cables, long", "view", 1_600_000_000_100, None),
        (3, "AE1", "B03", "Headphones", "dislike", 1_600_000_000_200, 7.0),
        (1, "AE1", "B01", "Headphones", "purchase", 1_600_000_000_300, 19.99),
        (4, "AE3", "B03", None, "purchase", 1_600_000_000_400, None),
        (5, "missing_field", "event_type"),
        (6, "wrong_type", "price"),
    ]


def test_a_resumed_replay_goes_on_in_the_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "UserBehavior.csv"
    path.write_text(TAOBAO)
    table = open_real_log(path, "taobao")
    assert [row.number for row in table.rows(4)] == [1, 3]
    assert table.share_read() == 1.0


def test_a_last_line_that_is_cut_short_is_dropped_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "UserBehavior.csv"
    path.write_text(TAOBAO + "5,500,50")
    assert len(replayed(path, "taobao")) == 6
    assert "last line" in capsys.readouterr().err
    path.write_text(TAOBAO)
    assert len(replayed(path, "taobao")) == 6
    assert capsys.readouterr().err == ""


def test_other_inputs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "electronics.csv"
    path.write_text(AMAZON.replace("rating", "stars"))
    with pytest.raises(ConfigurationError, match="the amazon log has timestamp"):
        open_real_log(path, "amazon")
    with pytest.raises(ConfigurationError, match="cannot read"):
        open_real_log(tmp_path / "missing.csv", "taobao")
    with pytest.raises(ConfigurationError, match="sorted by time") as refused:
        open_real_log(STDIN, "taobao")
    assert refused.value.hint == "name its file"
    packed = tmp_path / "half.csv.gz"
    packed.write_bytes(gzip.compress(AMAZON.encode())[:60])
    with pytest.raises(ConfigurationError, match="cannot read"):
        open_real_log(packed, "amazon")
