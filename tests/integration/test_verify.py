"""``uic verify`` against a real worker: clean when it is right, and damage is found and named."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prove.malformed import malformed_messages
from worker_process import Sender

from interest_center.core.ids import encode_id, partition_of
from interest_center.core.keys import SUBSEQUENCE, user_prefix
from interest_center.settings import Settings, environment_of
from interest_center.stores.rocksdb import RocksStore
from models.bundle import untrained_bundle
from streams.kept_snapshots import kept_snapshots

pytestmark = pytest.mark.kafka

USERS = [f"user-{number}" for number in range(50)]


def verify(settings: Settings, *arguments: str) -> tuple[int, Any, str]:
    """Run the command; return its status, its JSON, and what it said besides."""
    named = settings.model_copy(update={"worker_urls": settings.advertised_url})
    done = subprocess.run(
        [sys.executable, "-m", "interest_center.cli", "verify", "--json", *arguments],
        env=environment_of(named),
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(done.stdout) if done.stdout.startswith("{") else None
    return done.returncode, told, done.stderr


@pytest.fixture(params=["din+mimn", "din+hpmn"])
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "bundle"
    untrained_bundle(path, request.param)
    return path


def send_all_kinds(settings: Settings, sender: Sender) -> None:
    """Send events of every fate: applied, duplicate, late, erased, dead."""
    sender.send(3000)
    rng = np.random.default_rng(1)
    with sender.producer() as producer:
        for message in malformed_messages(rng, 4, 100, USERS):
            producer.send(
                settings.events_topic,
                key=message.key,
                value=message.value,
                headers=list(message.headers),
                partition=message.partition,
            )
        again = sender.event("user-1", event_type="dislike")
        for value in (again, again, sender.event("user-2", event_time_ms=1_500_000_000_000), None):
            producer.send(
                settings.events_topic,
                key=b"user-3" if value is None else json.loads(value)["user_id"].encode(),
                value=value,
            )
    sender.send(500)


def test_right_states_are_clean(
    worker_settings: Settings, sender: Sender, start, bundle: Path
) -> None:
    send_all_kinds(worker_settings, sender)
    worker = start(bundle=bundle).wait_ready()
    worker.wait_level()
    settings = worker_settings.model_copy(update={"bundle": bundle})
    status, told, said = verify(settings)
    assert (status, told and told["differences"]) == (0, []), said
    assert told["users"] == 50
    assert told["memories"] == 50
    assert told["records"] == 3000 + 100 + 4 + 500
    assert told["counters_and_dead_letters"]
    counters = worker.counters()
    fates = ("duplicate", "late_dropped", "dead_lettered", "erased")
    assert [counters[fate] for fate in fates] == [1, 1, 100, 1]
    status, told, said = verify(settings, "--sample", "7")
    assert (status, told["users"]) == (0, 7), said
    status, told, said = verify(settings, "--user", "user-5", "--user", "user-6")
    assert (status, told["users"]) == (0, 2), said
    status, _, said = verify(worker_settings)
    assert status == 2
    assert "--bundle" in said


def test_damage_is_found(worker_settings: Settings, sender: Sender, start) -> None:
    sender.send(3000)
    worker = start(snapshot_url="off").wait_ready()
    assert worker.stop() == 0, worker.output()
    partition = partition_of(b"user-7", 4)
    folder = worker_settings.states / f"partition-{partition}"
    store = RocksStore(folder / (folder / "current").read_text().strip())
    user = encode_id("user-7")
    lost = [key for key, _ in store.scan_prefix(user_prefix(user)) if key[9:10] == SUBSEQUENCE]
    store.write([], lost[:1])
    store.close()
    start(snapshot_url="off").wait_ready()
    status, told, said = verify(worker_settings)
    assert status == 1, said
    assert told["users_different"] == 1
    assert told["differences"][0].startswith("user user-7: sub-sequence")
    status, told, _ = verify(worker_settings, "--user", "user-8")
    assert (status, told["users"]) == (0, 1)


def test_other_rules_are_refused(
    worker_settings: Settings, sender: Sender, start, tmp_path
) -> None:
    sender.send(100)
    start().wait_ready()
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"n_behaviors": 7}))
    status, _, said = verify(worker_settings, "--state-config", str(rules))
    assert status == 2
    assert "other state rules" in said


def test_nobody_there_is_no_clean_report(worker_settings: Settings, start) -> None:
    start().wait_ready()
    status, told, _ = verify(worker_settings)
    assert (status, told["users"]) == (1, 0)


def test_a_snapshot_is_where_to_begin(
    worker_settings: Settings, sender: Sender, start, bundle: Path
) -> None:
    send_all_kinds(worker_settings, sender)
    settings = worker_settings.model_copy(update={"bundle": bundle})
    worker = start(bundle=bundle).wait_ready()
    worker.wait_level()
    assert worker.stop() == 0, worker.output()
    ids = [one.id for one in kept_snapshots(settings)]
    assert len(ids) == 4
    send_all_kinds(worker_settings, sender)
    worker = start(bundle=bundle).wait_ready()
    worker.wait_level()
    named = [part for name in ids for part in ("--from-snapshot", name)]
    status, told, said = verify(settings, *named)
    assert (status, told and told["differences"]) == (0, []), said
    assert (told["users"], told["memories"]) == (50, 50)
    assert told["records"] == 3000 + 100 + 4 + 500
    assert told["events"] > 6000
    status, told, said = verify(settings, *named[:2])
    assert status == 0, said
    assert len(told["positions"]) == 1
    status, _, said = verify(settings, "--from-snapshot", "deadbeef")
    assert status == 2
    assert "uic snapshot list" in said


def test_a_file_is_the_whole_history(
    worker_settings: Settings, sender: Sender, start, tmp_path: Path
) -> None:
    lines = [sender.event(f"user-{number % 20}") for number in range(500)]
    with sender.producer() as producer:
        for line in lines:
            user = json.loads(line)["user_id"].encode()
            producer.send(worker_settings.events_topic, key=user, value=line)
    start().wait_ready().wait_level()
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(lines))
    status, told, said = verify(worker_settings, "--events", str(path))
    assert (status, told["users"], told["events"]) == (0, 20, 500), said
    path.write_bytes(b"\n".join(lines[:-1]))
    status, told, said = verify(worker_settings, "--events", str(path))
    assert (status, told["users_different"]) == (1, 1), said
