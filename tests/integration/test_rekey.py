"""``uic topics rekey`` on a real Kafka: killed and taken up again, all is there, once."""

import signal
import subprocess
import sys
import time
from collections import defaultdict
from typing import Any

import pytest
from prove.topics import committed_records, end_offsets
from worker_process import Sender, wait_until

from interest_center.settings import Settings, environment_of

pytestmark = pytest.mark.kafka


def rekey(settings: Settings, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "interest_center.cli", "topics", "rekey", *arguments],
        env=environment_of(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def by_user(settings: Settings, topic: str) -> dict[bytes, list[Any]]:
    found = defaultdict(list)
    for record in committed_records(settings.bootstrap_servers, topic):
        found[record.key].append((record.value, [tuple(header) for header in record.headers]))
    return found


def n_records(settings: Settings, topic: str) -> int:
    try:
        return sum(end_offsets(settings.bootstrap_servers, topic).values())
    except TypeError:
        return 0  # There is no such topic yet.


def test_a_copy_is_whole_after_kills(worker_settings: Settings, sender: Sender, start) -> None:
    sender.send(100_000)
    with sender.producer() as producer:
        producer.send(worker_settings.events_topic, key=b"user-1", value=b"not json")
        producer.send(
            worker_settings.events_topic, key=b"user-2", value=b"{}", headers=[("from", b"test")]
        )
    old = by_user(worker_settings, worker_settings.events_topic)
    topic = worker_settings.events_topic + "-new"
    n_copied = 0
    for _ in range(3):
        copy = rekey(worker_settings, topic, "--partitions", "6")
        wait_until(lambda at=n_copied: n_records(worker_settings, topic) > at, "some copied")
        copy.kill()
        copy.communicate()
        n_copied = n_records(worker_settings, topic)
    assert n_copied < sum(map(len, old.values())), "the kills came too late"
    copy = rekey(worker_settings, topic, "--partitions", "6")
    said, _ = copy.communicate(timeout=120)
    assert copy.returncode == 0, said
    assert f"UIC_EVENTS_TOPIC={topic}" in said
    assert by_user(worker_settings, topic) == old
    new = worker_settings.model_copy(
        update={
            "events_topic": topic,
            "dead_letters_topic": topic + "-dead-letters",
            "partitions": 6,
            "group": worker_settings.group + "-new",
        }
    )
    worker = start(**new.model_dump()).wait_ready()
    sender.check(worker.url)
    assert len(worker.partitions()) == 6
    assert worker.counters()["dead_lettered"] == 2


def test_records_in_a_wrong_partition_stay_behind(
    worker_settings: Settings, sender: Sender
) -> None:
    with sender.producer() as producer:
        for partition in range(4):
            value = sender.event("user-1")
            producer.send(worker_settings.events_topic, value, b"user-1", partition=partition)
    topic = worker_settings.events_topic + "-new"
    said, _ = rekey(worker_settings, topic, "--partitions", "2").communicate(timeout=60)
    assert "copied 1 records" in said
    assert "left out 3" in said
    assert len(by_user(worker_settings, topic)[b"user-1"]) == 1


def test_a_following_copy_ends_when_told(worker_settings: Settings, sender: Sender) -> None:
    sender.send(100)
    topic = worker_settings.events_topic + "-new"
    copy = rekey(worker_settings, topic, "--partitions", "2", "--follow")
    time.sleep(6.0)
    sender.send(100)
    time.sleep(3.0)
    copy.send_signal(signal.SIGINT)
    said, _ = copy.communicate(timeout=60)
    assert copy.returncode == 0, said
    assert "copied 200 records" in said
    same = rekey(worker_settings, worker_settings.events_topic, "--partitions", "2")
    said, _ = same.communicate(timeout=60)
    assert same.returncode == 2
    assert "choose another name" in said
