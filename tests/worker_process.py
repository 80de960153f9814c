"""Interest workers as processes of their own, and the events that tests push through them."""

import contextlib
import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from reference.interest_state import chained

from interest_center.settings import Settings, environment_of

READY_SECONDS = 60.0


def get_json(url: str, timeout: float = 5.0) -> tuple[int, Any]:
    """Return status and JSON of an address; status 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except (OSError, json.JSONDecodeError):
        return 0, None


def _asked_until_owned(request: urllib.request.Request, seconds: float = READY_SECONDS) -> Any:
    """Ask as a client does: again while a rebalance leaves users without an owner (503)."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def wait_until(holds: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
    """Wait until something holds; fails the test when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


class WorkerProcess:
    """One ``uic worker``.

    Args:
        settings: Of the process; a free port is chosen.
        log: File for what it prints.
        environment: More variables of its environment.
        arguments: More arguments.
        inside: Command that runs it, for a worker in a namespace.
    """

    def __init__(
        self,
        settings: Settings,
        log: Path,
        environment: dict[str, str] | None = None,
        arguments: tuple[str, ...] = (),
        inside: tuple[str, ...] = (),
    ) -> None:
        self.settings = settings
        self.log = log
        self.url = settings.advertised_url
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                [*inside, sys.executable, "-m", "interest_center.cli", "worker", *arguments],
                env=environment_of(settings) | (environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def get(self, path: str) -> tuple[int, Any]:
        """Ask this worker."""
        return get_json(self.url + path)

    def wait_ready(self, seconds: float = READY_SECONDS) -> "WorkerProcess":
        """Wait until it answers for all its partitions."""

        def is_ready() -> bool:
            assert self.process.poll() is None, self.output()
            return self.get("/health/ready")[0] == 200

        wait_until(is_ready, f"worker ready\n{self.output()}", seconds)
        return self

    def partitions(self) -> list[dict[str, Any]]:
        """Return the partitions that it owns."""
        status, answer = self.get("/v1/partitions")
        return [one for one in answer["partitions"] if one["mine"]] if status == 200 else []

    def counters(self) -> dict[str, int]:
        """Return the sum of the counters of its partitions."""
        total: dict[str, int] = defaultdict(int)
        for one in self.partitions():
            for name, value in one["counters"].items():
                total[name] += value
        return dict(total)

    def wait_level(self, seconds: float = READY_SECONDS) -> None:
        """Wait until it has applied all that is in its partitions."""

        def is_level() -> bool:
            assert self.process.poll() is None, self.output()
            mine = self.partitions()
            return bool(mine) and all(
                one["ready"] and one["position"] >= one["end"] for one in mine
            )

        # The end of the log is asked for once a second.
        time.sleep(1.2)
        wait_until(is_level, "worker level with the log", seconds)

    def stop(self) -> int:
        """End it as an operator does, and return its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """End it as a crash does."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()

    def output(self) -> str:
        """Return what it has printed."""
        return self.log.read_text(errors="replace")


@dataclass
class Sender:
    """Sends events and remembers what must become of them.

    Attributes:
        settings: Where to.
        hashes: Hashes of the event ids of each user, in the order sent.
    """

    settings: Settings
    hashes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    n_sent: int = 0

    def send(self, n_events: int, n_users: int = 50, **fields: Any) -> None:
        """Send good events, round robin over the users."""
        with self.producer() as producer:
            self._send(producer, n_events, n_users, fields)

    def _send(
        self, producer: KafkaProducer, n_events: int, n_users: int, fields: dict[str, Any]
    ) -> None:
        for _ in range(n_events):
            user = f"user-{self.n_sent % n_users}"
            event = self.event(user, **fields)
            producer.send(self.settings.events_topic, key=user.encode(), value=event)

    @contextlib.contextmanager
    def sending(self, events_per_second: int = 400) -> Iterator[None]:
        """Send events all the time, from a thread; each is in the topic once, whatever happens."""
        ended, failed = threading.Event(), []
        options = {"enable_idempotence": True, "delivery_timeout_ms": 300_000}

        def send() -> None:
            try:
                with self.producer(**options) as producer:
                    while not ended.wait(0.05):
                        self._send(producer, max(1, events_per_second // 20), 50, {})
            except Exception as error:  # Handed to the thread of the test.
                failed.append(error)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        assert not failed, failed

    def event(self, user: str, **fields: Any) -> bytes:
        """Make one event, counted as applied."""
        event_id = f"event-{self.n_sent}"
        self.hashes[user].append(
            int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest(), "little")
        )
        event = {
            "event_id": event_id,
            "user_id": user,
            "item_id": str(1 + self.n_sent % 997),
            "category_id": f"c{self.n_sent % 7}",
            "event_type": "click",
            "event_time_ms": int(time.time() * 1000),
            **fields,
        }
        self.n_sent += 1
        return json.dumps(event).encode()

    @contextlib.contextmanager
    def producer(self, **options: Any) -> Iterator[KafkaProducer]:
        """Open a producer; all is acknowledged when it closes."""
        producer = KafkaProducer(
            bootstrap_servers=self.settings.bootstrap_servers, acks="all", linger_ms=5, **options
        )
        try:
            yield producer
            producer.flush()
        finally:
            producer.close()

    def check(self, url: str) -> None:
        """Compare every user's applied events, by count and chained hash, with what was sent."""
        users = sorted(self.hashes)
        body = json.dumps({"user_ids": users}).encode()
        request = urllib.request.Request(
            url + "/v1/interest:batchGet", body, {"content-type": "application/json"}
        )
        answers = _asked_until_owned(request)["users"]
        assert [answer["user_id"] for answer in answers] == users
        for answer in answers:
            chain = 0
            for event_hash in self.hashes[answer["user_id"]]:
                chain = chained(chain, event_hash)
            expected = (len(self.hashes[answer["user_id"]]), f"{chain:016x}")
            assert (answer["event_count"], answer["chain_hash"]) == expected, answer["user_id"]
