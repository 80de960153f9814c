"""One worker on a real Kafka: consume, answer, restart, crash, dead letters, gaps, refusals."""

import json
import re
import shutil
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kafka import KafkaConsumer
from kafka.structs import TopicPartition
from worker_process import Sender, WorkerProcess, wait_until

from interest_center.cli import cli
from interest_center.settings import Settings, environment_of
from models.bundle import untrained_bundle
from streams.topics import create_topics, open_admin

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
ROOMS = ("interest_center", "streams")


def test_events_become_states_that_survive_a_restart(sender: Sender, start) -> None:
    sender.send(2000)
    worker = start().wait_ready()
    sender.check(worker.url)
    assert worker.get("/v1/users/nobody/interest")[1]["event_count"] == 0
    sender.send(500)
    worker.wait_level()
    assert worker.stop() == 0, worker.output()
    sender.send(500)
    again = start().wait_ready()
    sender.check(again.url)
    counters = again.counters()
    assert counters["consumed"] == counters["applied"] == 3000
    assert sum(one["position"] for one in again.partitions()) == 3000


@pytest.mark.parametrize("lose_disk", [False, True])
def test_a_kill_neither_loses_nor_doubles(
    worker_settings: Settings, sender: Sender, start, lose_disk: bool
) -> None:
    sender.send(4000)
    for _ in range(3):
        worker = start(max_events_per_second=1000, snapshot_url="off")
        wait_until(lambda w=worker: w.counters().get("applied", 0) > 0, "some events applied")
        time.sleep(1.0)
        worker.kill()
    if lose_disk:
        shutil.rmtree(worker_settings.states)
    worker = start(snapshot_url="off").wait_ready()
    sender.check(worker.url)
    assert worker.counters()["applied"] == 4000


def labelled_points() -> list[str]:
    """Return every label at which a worker's code lets itself be killed."""
    sources = (path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py"))
    return sorted(
        {label for text in sources for label in re.findall(r'fault_point\("(\w+)"', text)}
    )


@pytest.mark.parametrize("label", labelled_points())
def test_a_kill_at_a_fault_point_neither_loses_nor_doubles(
    worker_settings: Settings, sender: Sender, start, label: str
) -> None:
    sender.send(300)
    with sender.producer() as producer:
        producer.send(worker_settings.events_topic, key=b"user-1", value=b"not json")
    sender.send(300)
    worker = start(environment={"UIC_FAULT_POINT": label}, snapshot_interval_seconds=1.0)
    assert worker.process.wait(60) == -9, worker.output()
    worker = start().wait_ready()
    sender.check(worker.url)
    assert worker.counters()["dead_lettered"] == 1


def test_a_snapshot_is_a_start(worker_settings: Settings, sender: Sender, start) -> None:
    sender.send(2000)
    worker = start().wait_ready()
    assert worker.stop() == 0, worker.output()
    shutil.rmtree(worker_settings.states)
    sender.send(100)
    worker = start().wait_ready()
    assert "snapshot_restored" in worker.output()
    sender.check(worker.url)
    assert worker.counters()["applied"] == 2100


def test_a_snapshot_that_is_asked_for_is_a_start(
    worker_settings: Settings, sender: Sender, start, monkeypatch
) -> None:
    sender.send(2000)
    worker = start().wait_ready()
    for name, value in environment_of(worker_settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UIC_WORKER_URLS", worker.url)
    done = CliRunner().invoke(cli, ["snapshot", "create", "--json"])
    assert done.exit_code == 0, done.output
    saved = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["partition"] for one in saved] == [0, 1, 2, 3]
    assert sum(one["offset"] for one in saved) == 2000
    assert all(one["uploaded_bytes"] for one in saved)
    worker.kill()
    shutil.rmtree(worker_settings.states)
    worker = start().wait_ready()
    assert worker.output().count("snapshot_restored") == 4
    sender.check(worker.url)


def test_bad_records_go_to_the_dead_letters_and_the_stream_goes_on(
    worker_settings: Settings, sender: Sender, start
) -> None:
    sender.send(100)
    worker = start().wait_ready()
    bad = [b"not json", b"\xff\xfe", b"{}", b"[1]", b"x" * 100_000]
    with sender.producer() as producer:
        for value in bad:
            producer.send(
                worker_settings.events_topic,
                key=b"user-1",
                value=value,
                headers=[("origin", b"test")],
            )
    sender.send(100)
    worker.wait_level()
    sender.check(worker.url)
    assert worker.counters()["dead_lettered"] == len(bad)
    letters = dead_letters(worker_settings)
    assert sorted(letter.value for letter in letters) == sorted(bad)
    headers = dict(letters[0].headers)
    assert set(headers) == {
        "reason", "detail", "topic", "partition", "offset", "original.origin"
    }  # fmt: skip
    assert headers["topic"] == worker_settings.events_topic.encode()


def test_a_worker_that_waits_for_its_dead_letters_ends_when_told(
    worker_settings: Settings, sender: Sender, start
) -> None:
    sender.send(100)
    worker = start().wait_ready()
    admin = open_admin(worker_settings)
    admin.delete_topics([worker_settings.dead_letters_topic])
    admin.close()
    with sender.producer() as producer:
        producer.send(worker_settings.events_topic, key=b"user-1", value=b"not json")
    sender.send(100)
    wait_until(lambda: "dead_letters_wait" in worker.output(), "a wait for the dead letters", 90)
    assert worker.stop() == 0, worker.output()
    assert "Traceback" not in worker.output()
    create_topics(worker_settings)
    worker = start().wait_ready()
    worker.wait_level()
    sender.check(worker.url)
    assert worker.counters()["dead_lettered"] == 1


def test_transactions_are_read_when_committed_and_skipped_when_aborted(
    worker_settings: Settings, sender: Sender, start
) -> None:
    worker = start().wait_ready()
    for ending in ("commit", "abort", "commit"):
        with sender.producer(transactional_id=f"{worker_settings.group}-{ending}") as producer:
            producer.init_transactions()
            producer.begin_transaction()
            for number in range(20):
                user = f"user-{number % 5}"
                event = sender.event(user) if ending == "commit" else b"never to be seen"
                producer.send(worker_settings.events_topic, key=user.encode(), value=event)
            producer.flush()
            if ending == "commit":
                producer.commit_transaction()
            else:
                producer.abort_transaction()
    worker.wait_level()
    sender.check(worker.url)
    counters = worker.counters()
    assert counters["consumed"] == counters["applied"] == 40
    assert counters["skipped"] >= 20 + 3
    positions = sum(one["position"] for one in worker.partitions())
    assert positions == counters["consumed"] + counters["skipped"]


def test_a_recreated_topic_is_refused_until_asked_to_start_afresh(
    worker_settings: Settings, sender: Sender, start
) -> None:
    sender.send(200)
    worker = start().wait_ready()
    assert worker.stop() == 0, worker.output()
    admin = open_admin(worker_settings)
    admin.delete_topics([worker_settings.events_topic])
    admin.close()
    time.sleep(1.0)
    create_topics(worker_settings)
    worker = start()
    assert worker.process.wait(60) == 2
    assert "uic worker --fresh" in worker.output()
    assert "Traceback" not in worker.output()
    new = Sender(worker_settings)
    new.send(100)
    worker = start("--fresh").wait_ready()
    new.check(worker.url)
    assert worker.counters()["applied"] == 100


def test_a_topic_recreated_under_a_running_worker_stops_it(
    worker_settings: Settings, sender: Sender, start
) -> None:
    sender.send(200)
    worker = start().wait_ready()
    admin = open_admin(worker_settings)
    admin.delete_topics([worker_settings.events_topic])
    admin.close()
    time.sleep(1.0)
    create_topics(worker_settings)
    assert worker.process.wait(60) == 2, worker.output()
    assert "uic worker --fresh" in worker.output()


def test_a_truncated_log_is_refused_until_accepted(
    worker_settings: Settings, sender: Sender, start
) -> None:
    sender.send(400)
    admin = open_admin(worker_settings)
    admin.delete_records({TopicPartition(worker_settings.events_topic, p): 10 for p in range(4)})
    admin.close()
    worker = start()
    assert worker.process.wait(60) == 2
    assert "--accept-truncated-history" in worker.output()
    worker = start("--accept-truncated-history").wait_ready()
    assert {one["history_from"] for one in worker.partitions()} == {10}
    assert worker.get("/v1/users/user-1/interest")[1]["freshness"]["history_from"] == 10


def test_mistakes_of_the_operator_are_told_without_a_traceback(
    worker_settings: Settings, start
) -> None:
    first = start().wait_ready()
    for other, said in (
        ({}, "cannot serve HTTP"),
        ({"worker_port": 0}, "uses the state directory"),
        ({"worker_port": 0, "events_topic": "no-such-topic"}, "is not there"),
        ({"worker_port": 0, "kafka_bootstrap_servers": "127.0.0.1:1"}, "no Kafka at"),
    ):
        other = {"state_dir": worker_settings.home / said.split()[-1]} | other
        if "uses" in said:
            other["state_dir"] = worker_settings.states
        worker = start(**other)
        assert worker.process.wait(60) == 2, worker.output()
        assert said in worker.output()
        assert "Traceback" not in worker.output()
    assert first.process.poll() is None


def test_http_tells_what_is_wrong_and_what_it_can_do(sender: Sender, start) -> None:
    sender.send(50)
    worker = start().wait_ready()
    assert worker.get("/health/live")[0] == 200
    status, schema = worker.get("/schema/openapi.json")
    assert status == 200
    assert "/v1/users/{user_id}/interest" in schema["paths"]
    status, answer = worker.get(f"/v1/users/{'x' * 300}/interest")
    assert (status, answer["field"]) == (400, "user_id")
    interest = worker.get("/v1/users/user-3/interest")[1]
    assert interest["behaviors"][0]["category_id"].startswith("c")
    category = interest["behaviors"][0]["category_id"]
    subsequence = worker.get(f"/v1/users/user-3/categories/{category}")[1]
    assert subsequence["behaviors"][0] == interest["behaviors"][0]
    assert json.dumps(interest["freshness"]) == json.dumps(
        interest["freshness"] | {"history_from": 0, "memory_from": None, "model": None}
    )


def send_bad(sender: Sender, count: int) -> int:
    """Send records that are no events, to all partitions."""
    with sender.producer() as producer:
        for number in range(count):
            key = f"user-{number}".encode()
            producer.send(sender.settings.events_topic, key=key, value=b"no event")
    return count


def dead_letters(settings: Settings) -> list[Any]:
    """Return the records of the dead-letter topic."""
    consumer = KafkaConsumer(
        settings.dead_letters_topic,
        bootstrap_servers=settings.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=3000,
    )
    letters = list(consumer)
    consumer.close()
    return letters


def letter_places(settings: Settings) -> set[tuple[bytes, bytes]]:
    """Return the distinct places that the dead letters name."""
    said = [dict(letter.headers) for letter in dead_letters(settings)]
    return {(headers["partition"], headers["offset"]) for headers in said}


def memories(worker: WorkerProcess, users: list[str]) -> dict[str, list[float] | None]:
    """Return the memory of each user, None where none is served or the answer is 503 just now."""
    found = {}
    for user in users:
        status, answer = worker.get(f"/v1/users/{user}/interest?raw_memory=true")
        assert status in (200, 503)
        found[user] = answer["memory"]["values"] if answer.get("memory") else None
    return found


def test_a_new_bundle_builds_its_memory_beside_the_old_and_never_reads_the_other(
    sender: Sender, start: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    users = [f"user-{number}" for number in range(10)]
    sender.send(3000)
    first, second = tmp_path / "first", tmp_path / "second"
    untrained_bundle(first, seed=1)
    untrained_bundle(second, seed=2)
    worker = start(bundle=first, snapshot_url="off").wait_ready()
    of_first = memories(worker, users)
    assert None not in of_first.values()
    assert worker.stop() == 0, worker.output()

    # What a worker that only ever knew the second bundle computes.
    apart = {"state_dir": tmp_path / "apart", "snapshot_url": "off"}
    worker = start(bundle=second, **apart).wait_ready()
    of_second = memories(worker, users)
    assert worker.stop() == 0, worker.output()
    assert of_first != of_second

    worker = start(bundle=second, snapshot_url="off").wait_ready()
    seen = []
    n_bad = 0

    def is_built() -> bool:
        nonlocal n_bad
        # Whichever copy meets it first, it has to be in the topic.
        n_bad += send_bad(sender, 20)
        seen.append(memories(worker, users))
        return all(one["phase"] == "ready" for one in worker.partitions())

    wait_until(is_built, "memories of the second bundle")
    sender.check(worker.url)
    assert all(one["memory_from"] == 0 for one in worker.partitions())
    for answers in [*seen, memories(worker, users)]:
        assert all(answers[user] in (None, of_second[user]) for user in users)
    assert memories(worker, users) == of_second
    sender.send(500)
    worker.wait_level()
    sender.check(worker.url)
    assert worker.counters()["dead_lettered"] == n_bad
    assert len(letter_places(sender.settings)) == n_bad
    assert worker.stop() == 0, worker.output()
    worker = start(bundle=second, snapshot_url="off").wait_ready()
    assert all(one["phase"] == "ready" for one in worker.partitions())
    sender.check(worker.url)


def gauge(worker: WorkerProcess, name: str) -> dict[str, float]:
    """Return a gauge by partition, as Prometheus would scrape it."""
    with urllib.request.urlopen(worker.url + "/metrics", timeout=5) as response:
        text = response.read().decode()
    return {
        label: float(value)
        for label, value in re.findall(rf'^{name}{{partition="(\d+)"}} (\S+)$', text, re.MULTILINE)
    }


def test_lag_in_records_and_in_seconds_rises_by_the_right_amount_and_returns_to_zero(
    sender: Sender, start: Callable[..., WorkerProcess]
) -> None:
    worker = start(max_events_per_second=400).wait_ready()
    sent_from = time.time()
    sender.send(2400)
    sent_to = time.time()
    time.sleep(1.5)
    for _ in range(5):
        before = sum(one["position"] for one in worker.partitions())
        asked = time.time()
        seconds = gauge(worker, "uic_lag_seconds")
        records = sum(gauge(worker, "uic_lag_records").values())
        after = sum(one["position"] for one in worker.partitions())
        assert 2400 - after <= records <= 2400 - before
        assert asked - sent_to - 0.1 <= max(seconds.values()) <= time.time() - sent_from + 0.1
        time.sleep(0.4)
    worker.wait_level()
    assert set(gauge(worker, "uic_lag_seconds").values()) == {0.0}
    assert set(gauge(worker, "uic_lag_records").values()) == {0.0}
