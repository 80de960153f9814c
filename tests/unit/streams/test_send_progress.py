"""The progress of one job and no other; rejects that survive resuming, restarting and sharing."""

import json
import os
from pathlib import Path

import msgspec
import pytest

from interest_center.core.errors import ConfigurationError
from interest_center.core.event_decoder import BadEventError
from streams.event_tables import Row
from streams.input_files import STDIN
from streams.send_progress import (
    HASHED_BYTES,
    Job,
    ProgressFile,
    Rejects,
    fingerprint_of,
    place_beside,
)

JOB = Job("12-abc", "[]", "cluster", "topic")


def test_a_progress_is_found_again(tmp_path: Path) -> None:
    kept = ProgressFile(tmp_path / "progress", JOB)
    assert (kept.load().rows, kept.was_there) == (0, False)
    kept.progress.rows, kept.progress.rejected = 7, 2
    kept.save()
    again = ProgressFile(kept.path, JOB)
    assert (again.load().rows, again.progress.rejected, again.was_there) == (7, 2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["progress"]
    again.forget()
    again.forget()
    assert ProgressFile(kept.path, JOB).load().rows == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("input", "is of another input"),
        ("options", "is of other options"),
        ("cluster_id", "is of another Kafka cluster"),
        ("topic_id", "is of another topic"),
    ],
)
def test_the_progress_of_another_job_is_refused_with_the_way_out(
    tmp_path: Path, name: str, said: str
) -> None:
    path = tmp_path / "progress"
    ProgressFile(path, JOB).save()
    other = msgspec.structs.replace(JOB, **{name: "other"})
    with pytest.raises(ConfigurationError, match=said) as refused:
        ProgressFile(path, other).load()
    assert "--restart" in refused.value.hint
    assert "--resume-file" in refused.value.hint


@pytest.mark.parametrize("content", [b"", b"{", b'{"job": 1}', b"\xff"])
def test_a_damaged_progress_is_refused_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "progress"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot read the progress") as refused:
        ProgressFile(path, JOB).load()
    assert "--restart" in refused.value.hint


def test_places_that_cannot_be_written_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot keep the progress") as refused:
        ProgressFile(tmp_path / "missing" / "progress", JOB).save()
    assert "--resume-file" in refused.value.hint
    for path in (tmp_path / "missing" / "rejects", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot keep the rejects") as refused:
            Rejects(path, "a.jsonl", 0)
        assert "--rejects-file" in refused.value.hint


def test_a_fingerprint_is_of_size_and_both_ends(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    content = bytearray(3 * HASHED_BYTES)
    prints = set()
    for at in (None, 0, HASHED_BYTES - 1, 2 * HASHED_BYTES, len(content) - 1):
        changed = bytearray(content)
        if at is not None:
            changed[at] = 1
        path.write_bytes(changed)
        prints.add(fingerprint_of(path))
        assert fingerprint_of(path) in prints
    path.write_bytes(content + b"\0")
    prints.add(fingerprint_of(path))
    assert len(prints) == 6
    path.write_bytes(b"")
    assert fingerprint_of(path).startswith("0-")
    assert fingerprint_of(STDIN) == ""


def test_a_pipe_has_no_fingerprint_and_is_left_unread(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    os.write(end, b"line\n")
    with pytest.raises(ConfigurationError, match="is not a regular file"):
        fingerprint_of(pipe)
    assert os.read(end, 100) == b"line\n"
    os.close(end)


def test_files_are_kept_beside_the_input_or_at_home(tmp_path: Path) -> None:
    folder, home = tmp_path / "folder", tmp_path / "home"
    folder.mkdir()
    assert place_beside(folder / "a.csv", home) == folder / "a.csv"
    assert place_beside(STDIN, home) == Path("stdin")
    folder.chmod(0o555)
    kept = place_beside(folder / "a.csv", home)
    assert kept.parent == home / "produce"
    assert kept.name.startswith("a.csv-")
    folder.chmod(0o755)


def reject(rejects: Rejects, *positions: int) -> None:
    """Reject rows and bring them to the disk."""
    for at in positions:
        rejects.add(at, Row(at + 1, {}, b"{"), BadEventError("not_json", "the line is not JSON"))
    assert rejects.write_before(positions[-1] + 1) == len(positions)


def kept_in(path: Path) -> list[tuple[str, int]]:
    entries = map(json.loads, path.read_text().splitlines())
    return [(entry["file"], entry["row"]) for entry in entries]


def test_a_reject_is_written_when_the_rows_before_it_are_through(tmp_path: Path) -> None:
    path = tmp_path / "rejects"
    rejects = Rejects(path, "a.jsonl", None)
    rejects.add(4, Row(5, {}, b"\xff"), BadEventError("bad_price", "field price: no", "price"))
    assert rejects.write_before(4) == 0
    assert not path.exists()
    assert rejects.write_before(5) == 1
    assert rejects.write_before(9) == 0
    assert json.loads(path.read_bytes()) == {
        "file": "a.jsonl",
        "row": 5,
        "field": "price",
        "reason": "bad_price",
        "detail": "field price: no",
        "content": {"hex": "ff"},
    }
    assert rejects.length == path.stat().st_size


def test_a_resumed_job_drops_what_it_rejects_again(tmp_path: Path) -> None:
    path = tmp_path / "rejects"
    first = Rejects(path, "a.jsonl", None)
    reject(first, 0, 1)
    saved = first.length
    reject(first, 2, 3)
    with path.open("ab") as file:
        file.write(b'{"file":"a.jso')
    again = Rejects(path, "a.jsonl", saved)
    assert path.stat().st_size == saved == again.length
    reject(again, 2)
    assert kept_in(path) == [("a.jsonl", 1), ("a.jsonl", 2), ("a.jsonl", 3)]
    path.unlink()
    assert Rejects(path, "a.jsonl", saved).length == 0
    path.write_bytes(b"")
    assert Rejects(path, "a.jsonl", saved).length == 0


def test_a_new_job_adds_to_a_file_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "rejects"
    path.write_text("something else\n")
    reject(Rejects(path, "-", None), 0)
    reject(Rejects(path, "-", None), 4)
    assert path.read_text().startswith("something else\n")
    path.write_text(path.read_text().removeprefix("something else\n"))
    assert kept_in(path) == [("-", 1), ("-", 5)]


def test_inputs_that_share_a_file_keep_their_rejects(tmp_path: Path) -> None:
    path = tmp_path / "rejects"
    path.write_text("something else\n")
    first = Rejects(path, "a.jsonl", None)
    reject(first, 0)
    saved = first.length
    reject(first, 1)
    reject(Rejects(path, "b.jsonl", None), 0)
    resumed = Rejects(path, "a.jsonl", saved)
    reject(resumed, 1)
    text = path.read_text()
    assert text.startswith("something else\n")
    path.write_text(text.removeprefix("something else\n"))
    assert kept_in(path) == [("a.jsonl", 1), ("b.jsonl", 1), ("a.jsonl", 2)]
    Rejects(path, "a.jsonl", 0)
    assert kept_in(path) == [("b.jsonl", 1)]
