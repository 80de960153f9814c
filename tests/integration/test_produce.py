"""``uic produce`` on a real Kafka: interrupted and resumed, bad rows, refusals; as processes."""

import gzip
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prove.topics import produced_events
from worker_process import wait_until

from interest_center.settings import Settings, environment_of, load_settings
from streams.topics import create_topics

pytestmark = pytest.mark.kafka

TIME_MS = 1_700_000_000_000
N_USERS = 5
#: Fewer than the center remembers of a user, so that it notices all of them.
MOST_REPEATS_OF_A_USER = 100
INTERRUPTED = 130


@pytest.fixture
def settings(kafka: str, topic_names: Callable[[str], str], tmp_path: Path) -> Settings:
    made = load_settings(
        kafka_bootstrap_servers=kafka,
        home=tmp_path / "home",
        events_topic=topic_names("events"),
        dead_letters_topic=topic_names("dead"),
        partitions=2,
    )
    create_topics(made)
    return made


class Command:
    """``uic produce`` in a directory of its own."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.directory = directory

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "interest_center.cli", "produce", *arguments],
            env=environment_of(self.settings),
            cwd=self.directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, stdin: str = "", status: int = 0) -> tuple[str, str]:
        """Run to the end and return what it printed; fails the test at another status."""
        process = self.start(*arguments)
        out, err = process.communicate(stdin, timeout=60)
        assert process.returncode == status, out + err
        assert "Traceback" not in err
        return out, err

    def sent(self) -> list[dict[str, Any]]:
        """Return the events in the topic, those of a user in order."""
        found = produced_events(self.settings.bootstrap_servers, self.settings.events_topic)
        assert all(one.message.key == one.message.event["user_id"].encode() for one in found)
        return [one.message.event for one in found]

    def rejected(self, name: str) -> list[tuple[str, int, str]]:
        lines = (self.directory / name).read_text().splitlines()
        entries = map(json.loads, lines)
        return [(entry["file"], entry["row"], entry["reason"]) for entry in entries]


@pytest.fixture
def produce(settings: Settings, tmp_path: Path) -> Command:
    directory = tmp_path / "inputs"
    directory.mkdir()
    return Command(settings, directory)


def events(n_events: int, name: str = "e") -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"{name}{n}",
            "user_id": f"u{n % N_USERS}",
            "item_id": f"i{n}",
            "event_type": "click",
            "event_time_ms": TIME_MS + n,
        }
        for n in range(n_events)
    ]


def as_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def has_saved(path: Path) -> bool:
    return path.exists() and json.loads(path.read_bytes())["rows"] > 0


def check_nothing_lost(sent: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> int:
    """Check that all is there and each user's in order; return how many were sent again."""
    first = {event["event_id"]: event for event in reversed(sent)}
    assert len(first) == len(wanted)
    assert all(first[event["event_id"]] == event for event in wanted)
    assert all(event == first[event["event_id"]] for event in sent)
    in_order: dict[str, dict[str, None]] = {}
    for event in sent:
        in_order.setdefault(event["user_id"], {})[event["event_id"]] = None
    for user, ids in in_order.items():
        assert list(ids) == [e["event_id"] for e in wanted if e["user_id"] == user]
    repeats = Counter(event["user_id"] for event in sent)
    for event in wanted:
        repeats[event["user_id"]] -= 1
    assert max(repeats.values()) <= MOST_REPEATS_OF_A_USER
    return len(sent) - len(wanted)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_is_resumed(produce: Command, how: signal.Signals) -> None:
    wanted = events(3000)
    (produce.directory / "events.jsonl").write_text(as_lines(wanted))
    process = produce.start("events.jsonl", "--rate", "1500")
    progress = produce.directory / "events.jsonl.uic-progress.json"
    wait_until(lambda: has_saved(progress), "some rows saved", 30)
    process.send_signal(how)
    out, err = process.communicate(timeout=30)
    killed = how == signal.SIGKILL
    assert process.returncode == (-signal.SIGKILL if killed else INTERRUPTED), err
    if not killed:
        assert "interrupted after row" in out
        assert progress.name in out
    n_before = len(produce.sent())
    assert 0 < n_before < len(wanted)
    out, _ = produce.run("events.jsonl")
    n_again = check_nothing_lost(produce.sent(), wanted)
    assert killed or n_again == 0
    assert f"sent {len(wanted) - n_before + n_again:,} events" in out
    out, _ = produce.run("events.jsonl")
    assert "events.jsonl was sent already: 3,000 rows; --restart sends it again" in out
    assert len(produce.sent()) == len(wanted) + n_again


def test_the_standard_input_is_resumed_by_its_file(produce: Command) -> None:
    wanted = events(1500)
    process = produce.start("--resume-file", "progress")
    assert process.stdin is not None
    # There before the first row: a later run has to know which rejects are of this one.
    wait_until((produce.directory / "progress").exists, "progress", 30)
    process.stdin.write(as_lines(wanted[:700]))
    process.stdin.flush()
    wait_until(lambda: has_saved(produce.directory / "progress"), "some rows saved", 30)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == INTERRUPTED, err
    assert "the same command goes on there (progress)" in out
    n_before = len(produce.sent())
    assert 0 < n_before <= 700
    out, _ = produce.run("-", "--resume-file", "progress", stdin=as_lines(wanted))
    assert f"sent {len(wanted) - n_before:,} events" in out
    assert check_nothing_lost(produce.sent(), wanted) == 0


def test_the_standard_input_without_a_file_starts_again(produce: Command) -> None:
    process = produce.start()
    assert process.stdin is not None
    # Small: the pipe takes all of it before the command has started.
    process.stdin.write(as_lines(events(20)))
    process.stdin.flush()
    wait_until(lambda: len(produce.sent()) == 20, "events in the topic", 30)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == INTERRUPTED
    assert "without --resume-file the next run starts at the first row" in out
    assert not list(produce.directory.iterdir())


def test_bad_rows_are_kept_and_change_the_status(produce: Command) -> None:
    good = events(3)
    bad = [good[0] | {"event_type": "clickk"}, good[1] | {"event_time_ms": 5}]
    lines = as_lines(good[:1]) + "{\n\n" + as_lines([bad[0], good[1], bad[1], good[2]])
    (produce.directory / "events.jsonl").write_text(lines)
    out, err = produce.run("events.jsonl", status=1)
    assert "sent 3 events" in out
    assert "rejected rows: 3, in events.jsonl.rejects.jsonl" in out
    assert "events.jsonl row 3: event_type 'clickk' is none of" in err
    assert check_nothing_lost(produce.sent(), good) == 0
    wanted = [
        ("events.jsonl", 2, "not_json"),
        ("events.jsonl", 3, "unknown_event_type"),
        ("events.jsonl", 5, "time_out_of_range"),
    ]
    assert produce.rejected("events.jsonl.rejects.jsonl") == wanted
    out, _ = produce.run("events.jsonl", status=1)
    assert "sent already" in out
    assert "rejected rows: 3" in out
    produce.run("events.jsonl", "--restart", status=1)
    assert produce.rejected("events.jsonl.rejects.jsonl") == wanted


def test_rejects_of_other_runs_are_kept(produce: Command) -> None:
    (produce.directory / "rejects").write_text('{"file":"mine","row":0,"reason":"kept"}\n')
    for name in ("a.jsonl", "b.jsonl"):
        (produce.directory / name).write_text("{\n")
        produce.run(name, "--rejects-file", "rejects", status=1)
    mine = ("mine", 0, "kept")
    a, b = ("a.jsonl", 1, "not_json"), ("b.jsonl", 1, "not_json")
    assert produce.rejected("rejects") == [mine, a, b]
    produce.run("a.jsonl", "--rejects-file", "rejects", "--restart", status=1)
    assert produce.rejected("rejects") == [mine, b, a]
    for _ in range(2):
        produce.run(stdin="{\n", status=1)
    assert produce.rejected("stdin.rejects.jsonl") == [("-", 1, "not_json")] * 2


def test_a_table_with_names_of_its_own_becomes_cloud_events(produce: Command) -> None:
    wanted = events(50)
    header = "visitor,item_id,seconds,event_id\n"
    rows = [
        f"{e['user_id']},{e['item_id']},{e['event_time_ms'] / 1000:.3f},{e['event_id']}\n"
        for e in wanted
    ]
    (produce.directory / "clicks.csv.gz").write_bytes(
        gzip.compress((header + "".join(rows)).encode())
    )
    arguments = ["--map", "user_id=visitor", "--map", "event_time_ms=seconds", "--time-unit", "s"]
    _, err = produce.run("clicks.csv.gz", *arguments, status=2)
    assert "no column event_type for field event_type" in err
    assert "--set event_type=VALUE" in err
    arguments += ["--set", "event_type=click", "--as", "cloudevents-binary"]
    produce.run("clicks.csv.gz", *arguments)
    assert check_nothing_lost(produce.sent(), wanted) == 0


def test_an_input_that_ends_in_the_middle_is_sent_up_to_there(produce: Command) -> None:
    wanted = events(20_000)
    packed = gzip.compress(as_lines(wanted).encode())
    (produce.directory / "events.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    _, err = produce.run("events.jsonl.gz", status=2)
    n_sent = len(produce.sent())
    assert 1000 < n_sent < len(wanted)
    assert f"its first {n_sent:,} rows are sent" in err
    _, err = produce.run("events.jsonl.gz", status=2)
    assert f"its first {n_sent:,} rows are sent" in err
    assert check_nothing_lost(produce.sent(), wanted[:n_sent]) == 0


def test_what_cannot_be_sent_is_refused_with_the_way_out(produce: Command) -> None:
    path = produce.directory / "events.jsonl"
    path.write_text(as_lines(events(3)))
    produce.run(path.name)
    path.write_text(as_lines(events(4)))
    _, err = produce.run(path.name, status=2)
    assert "error: the progress events.jsonl.uic-progress.json is of another input" in err
    assert "next: --restart sends the input from its first row" in err
    (produce.directory / "no.csv.gz").write_text("user_id\n")
    _, err = produce.run("no.csv.gz", status=2)
    assert "error: cannot read no.csv.gz: Not a gzipped file" in err
    os.mkfifo(produce.directory / "pipe")
    _, err = produce.run("pipe", "--format", "jsonl", status=2)
    assert "error: pipe is not a regular file" in err
    assert "next: pipe it into the standard input" in err
    _, err = produce.run("--from", "amazon", "--time-unit", "s", "events.jsonl", status=2)
    assert "--from knows the columns" in err
    assert len(produce.sent()) == 3


@pytest.mark.parametrize(
    ("changed", "said", "hint"),
    [
        (
            {"kafka_bootstrap_servers": "127.0.0.1:1"},
            "error: no Kafka at 127.0.0.1:1",
            "next: `uic broker start`",
        ),
        ({"events_topic": "missing"}, "error: topic missing is not there", "`uic topics create`"),
    ],
)
def test_without_broker_or_topic_it_says_what_to_do(
    settings: Settings, tmp_path: Path, changed: dict[str, str], said: str, hint: str
) -> None:
    (tmp_path / "events.jsonl").write_text(as_lines(events(3)))
    lost = Command(settings.model_copy(update=changed), tmp_path)
    out, err = lost.run("events.jsonl", status=2)
    assert (said in err, hint in err, out) == (True, True, "")
    assert [path.name for path in tmp_path.glob("events*")] == ["events.jsonl"]
    out, _ = lost.run("--help")
    assert "\n    uic produce events.jsonl\n" in out
