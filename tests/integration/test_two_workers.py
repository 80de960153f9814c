"""Two workers on a real Kafka: they share, forward, take over, and never answer out of order."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from worker_process import Sender, WorkerProcess, wait_until

from interest_center.settings import Settings
from streams.broker_process import Broker
from streams.ports import choose_ports
from streams.topics import create_topics

pytestmark = pytest.mark.kafka

Start = Callable[..., WorkerProcess]


@pytest.fixture
def start_second(worker_settings: Settings, start: Start) -> Start:
    """Start workers with a state directory and a port of their own."""
    (port,) = choose_ports(0)

    def begin(**other: object) -> WorkerProcess:
        return start(worker_port=port, state_dir=worker_settings.home / "second", **other)

    return begin


def share(first: WorkerProcess, second: WorkerProcess) -> None:
    """Wait until both own partitions and answer for them."""

    def is_shared() -> bool:
        mine = [
            {one["partition"] for one in w.partitions() if one["ready"]} for w in (first, second)
        ]
        return all(mine) and mine[0] | mine[1] == {0, 1, 2, 3} and not mine[0] & mine[1]

    wait_until(is_shared, "both workers own partitions")


def test_two_workers_share_and_any_answers_for_any_user(
    sender: Sender, start: Start, start_second: Start
) -> None:
    sender.send(1000)
    first = start().wait_ready()
    second = start_second()
    share(first, second)
    sender.send(1000)
    first.wait_level()
    second.wait_level()
    for worker in (first, second):
        sender.check(worker.url)
        for user in ("user-1", "user-2", "user-3", "user-4", "user-5"):
            status, answer = worker.get(f"/v1/users/{user}/interest")
            assert (status, answer["event_count"]) == (200, len(sender.hashes[user]))
    assert first.counters()["applied"] + second.counters()["applied"] == 2000


def test_a_killed_worker_is_replaced_and_an_ended_one_at_once(
    sender: Sender, start: Start, start_second: Start
) -> None:
    sender.send(1000)
    first = start().wait_ready()
    second = start_second()
    share(first, second)
    second.kill()
    sender.send(1000)
    wait_until(lambda: len(first.partitions()) == 4, "the first worker owns everything")
    first.wait_level()
    sender.check(first.url)
    again = start_second()
    share(first, again)
    assert first.stop() == 0, first.output()
    sender.send(200)
    wait_until(lambda: len(again.partitions()) == 4, "the second worker owns everything")
    again.wait_level()
    sender.check(again.url)


def test_a_paused_worker_does_not_answer_from_the_past(
    sender: Sender, start: Start, start_second: Start
) -> None:
    sender.send(1000)
    first = start().wait_ready()
    second = start_second()
    share(first, second)
    lost = next(one["partition"] for one in first.partitions())
    user = next(u for u in sender.hashes if partition_of_user(first, u) == lost)

    first.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: len(second.partitions()) == 4, "the second worker owns everything")
    sender.send(500)
    second.wait_level()
    status, answer = second.get(f"/v1/users/{user}/interest")
    assert status == 200
    least = answer["freshness"]["watermark"]

    answers: list[tuple[int, int]] = []
    asking = threading.Event()

    def ask() -> None:
        while not asking.is_set():
            status, answer = first.get(f"/v1/users/{user}/interest")
            answers.append((status, answer["freshness"]["watermark"] if status == 200 else 0))

    thread = threading.Thread(target=ask)
    thread.start()
    first.process.send_signal(signal.SIGCONT)
    share(first, second)
    time.sleep(0.5)
    asking.set()
    thread.join()
    assert {status for status, _ in answers} <= {0, 200, 503}
    assert all(watermark >= least for status, watermark in answers if status == 200)
    assert answers[-1][0] == 200
    sender.send(500)
    first.wait_level()
    second.wait_level()
    sender.check(first.url)
    total = first.counters()["applied"] + second.counters()["applied"]
    assert total == 2000


def partition_of_user(worker: WorkerProcess, user: str) -> int:
    """Return the partition of a user, as an answer says it."""
    return int(worker.get(f"/v1/users/{user}/interest")[1]["freshness"]["partition"])


def test_without_a_broker_nobody_answers_after_the_session_timeout(
    worker_settings: Settings, start: Start, tmp_path: Path
) -> None:
    own = Broker(tmp_path / "broker", worker_settings.cache_dir)
    settings = worker_settings.model_copy(
        update={"kafka_bootstrap_servers": own.start().bootstrap_servers}
    )
    try:
        create_topics(settings)
        sender = Sender(settings)
        sender.send(100)
        worker = start(kafka_bootstrap_servers=settings.kafka_bootstrap_servers).wait_ready()
        own.stop()
        wait_until(
            lambda: worker.get("/v1/users/user-1/interest")[0] == 503, "503 without a broker", 20
        )
        assert worker.get("/health/live")[0] == 200
        own.start()
        worker.wait_ready()
        sender.send(100)
        worker.wait_level()
        sender.check(worker.url)
        sender.send(50)  # Applied perhaps, but nobody takes the commit any more.
        own.kill()
        assert worker.stop() == 0, worker.output()
        assert "Traceback" not in worker.output()
    finally:
        own.stop()
