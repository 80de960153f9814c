"""Senders while Kafka is silent: it is stopped as a process, and goes on afterwards."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prove.topics import produced_events
from worker_process import wait_until

from interest_center.client import InterestClient, PushError
from interest_center.settings import Settings, environment_of
from streams.broker_process import Broker

pytestmark = pytest.mark.kafka


@contextlib.contextmanager
def silent(broker: Broker) -> Iterator[None]:
    """Hold the broker's process."""
    address = broker.running()
    assert address is not None
    os.kill(address.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(address.pid, signal.SIGCONT)


def test_produce_is_interrupted_in_order_and_resumed(
    broker: Broker, worker_settings: Settings, tmp_path: Path
) -> None:
    wanted = [
        {
            "event_id": f"e{n}",
            "user_id": f"u{n}",
            "item_id": "i",
            "event_type": "click",
            "event_time_ms": 1_700_000_000_000,
        }
        for n in range(6000)
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in wanted))
    command = [sys.executable, "-m", "interest_center.cli", "produce", str(path)]
    environment = environment_of(worker_settings)
    progress = path.with_name(path.name + ".uic-progress.json")
    with subprocess.Popen(
        [*command, "--rate", "2000"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until(lambda: progress.exists() and json.loads(progress.read_bytes())["rows"], "rows")
        with silent(broker):
            assert process.stderr is not None
            first = process.stderr.readline()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=40)
    assert first == "Kafka does not acknowledge since 5 s, waiting\n"
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "Kafka did not acknowledge the last events; the next run sends them again" in err
    assert "interrupted after row" in out
    subprocess.run(command, env=environment, check=True, timeout=60, capture_output=True)
    sent = produced_events(worker_settings.bootstrap_servers, worker_settings.events_topic)
    found = {one.message.event["event_id"]: one.message.event for one in sent}
    assert found == {event["event_id"]: event for event in wanted}


def test_a_client_gives_up_on_what_is_not_acknowledged(
    broker: Broker, worker_settings: Settings
) -> None:
    threads = threading.enumerate()
    client = InterestClient(worker_settings)
    client.push(user_id="u", item_id="first", event_type="click").result(20)
    with silent(broker):
        lost = client.push(user_id="u", item_id="lost", event_type="click")
        with pytest.raises(PushError, match=r"within 0\.5 s") as failed:
            client.flush(0.5)
        assert "uic broker start" in failed.value.hint
        started = time.monotonic()
        with pytest.raises(PushError, match=r"within 0\.5 s"):
            client.close(0.5)
        assert time.monotonic() - started < 8
        assert isinstance(lost.exception(timeout=5), PushError)
        # Nothing goes on sending behind the caller's back.
        assert not set(threading.enumerate()) - set(threads)
    # A client that was closed connects again.
    again = client.push(user_id="u", item_id="last", event_type="click")
    assert again.result(60).offset >= 1
    with contextlib.suppress(PushError):
        client.close()
