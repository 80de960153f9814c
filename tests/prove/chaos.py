"""Kills workers and the broker at random moments, under load, and keeps count."""

import os
import shutil
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException

import numpy as np

from prove.reading import UnexpectedAnswerError, owned_partitions
from prove.rows import Check, figure
from prove.system import Service, System, SystemFailedError, wait_until
from streams.broker_process import Broker

WORKERS = ("a", "b")
#: Longer than a worker needs to come back, so that most kills leave it its partitions.
SESSION_SECONDS = 10
#: How often the blow waits until all that was hit before is well again.
WAITING_SHARE = 0.7
DELAY_SECONDS = (0.1, 2.5)
BROKER_AWAY_SECONDS = (0.2, 3.0)
READY_SECONDS = 120.0
#: What a worker says that finds no broker when it begins.
NO_BROKER = "error: no Kafka at"


@dataclass(frozen=True)
class Blow:
    """What is killed at once.

    Attributes:
        what: In words.
        workers: Names.
        wiped: Whether their disks are emptied too.
        broker: Whether the broker is killed.
    """

    what: str
    workers: tuple[str, ...] = ()
    wiped: bool = False
    broker: bool = False


#: Of one hundred blows, how many are of each kind.
BLOWS = (
    (Blow("one worker", ("a",)), 24),
    (Blow("one worker", ("b",)), 24),
    (Blow("both workers", WORKERS), 18),
    (Blow("the broker", broker=True), 14),
    (Blow("one worker, its disk wiped", ("a",), wiped=True), 8),
    (Blow("one worker, its disk wiped", ("b",), wiped=True), 7),
    (Blow("both workers, their disks wiped", WORKERS, wiped=True), 5),
)


@dataclass
class Chaos:
    """Two workers and a broker that are killed again and again.

    Attributes:
        system: Theirs.
        rng: Of kinds and moments.
        say: Shows where it is.
        workers: Those that run now.
        fresh: Of them, those started by the last blow.
        n_without_broker: Workers that began while the broker was away, ended and said so, and were
            started again, as a supervisor does.
        at_risk: Events applied and not yet durable, at each blow that hit a worker.
        recovered: Seconds from a start to ready, of those that were waited for.
        struck: How many blows of each kind were dealt.
    """

    system: System
    rng: np.random.Generator
    say: Callable[[str], None]
    workers: dict[str, Service] = field(default_factory=dict)
    fresh: list[Service] = field(default_factory=list)
    n_without_broker: int = 0
    at_risk: list[int] = field(default_factory=list)
    recovered: list[float] = field(default_factory=list)
    struck: Counter[str] = field(default_factory=Counter)

    def start(self) -> None:
        """Start both workers and wait until they are ready."""
        for name in WORKERS:
            self._start(name)
        self._wait_ready()

    def run(self, n_blows: int) -> None:
        """Strike so often."""
        kinds = [blow for blow, share in BLOWS for _ in range(share)]
        drawn = self.rng.permutation(len(kinds))
        for number in range(n_blows):
            blow = kinds[drawn[number % len(kinds)]]
            self.say(f"kill {number + 1} of {n_blows}: {blow.what}")
            if self.rng.random() < WAITING_SHARE:
                self._wait_ready()
            time.sleep(float(self.rng.uniform(*DELAY_SECONDS)))
            self._strike(blow)

    def finish(self) -> list[Service]:
        """Wait until everything is well again and return the workers."""
        self._wait_ready()
        return list(self.workers.values())

    def told(self, n_blows: int) -> Iterator[Check]:
        """Show what was dealt, and whether it hurt."""
        kinds = ", ".join(f"{what} {n}" for what, n in self.struck.most_common())
        n = self.struck.total()
        yield Check("kill -9 under load", f"{n}: {kinds}", f"{n_blows}", n == n_blows)
        hurt = [n for n in self.at_risk if n]
        yield Check(
            "blows that hit a worker with applied events not yet durable",
            f"{len(hurt)} of {len(self.at_risk)}, median {statistics.median(hurt or [0]):,.0f} "
            f"events, most {max(self.at_risk, default=0):,}",
            "more than a third: else nothing was at stake",
            3 * len(hurt) > len(self.at_risk) > 0,
        )
        yield figure("started again, having begun without a broker", str(self.n_without_broker))
        seconds = sorted(self.recovered) or [0.0]
        yield figure(
            "from the start of a killed worker to ready, seconds",
            f"{seconds[0]:.1f} / {statistics.median(seconds):.1f} / {seconds[-1]:.1f} "
            "(min / median / max)",
        )

    def _start(self, name: str) -> Service:
        worker = self.system.start_worker(name, session_timeout_seconds=SESSION_SECONDS)
        self.workers[name] = worker
        return worker

    def _wait_ready(self) -> None:
        for worker in self.workers.values():
            seconds = worker.wait_ready(READY_SECONDS)
            if worker in self.fresh:
                self.recovered.append(seconds)
        self.fresh.clear()

    def _strike(self, blow: Blow) -> None:
        for worker in self.workers.values():
            if not worker.alive:
                raise SystemFailedError(f"{worker.name} ended by itself: {worker.tail()}")
        hit = [self.workers[name] for name in blow.workers]
        if hit:
            self.at_risk.append(sum(not_durable(worker) for worker in hit))
        for worker in hit:
            worker.kill_9()
        if blow.broker:
            self._kill_broker()
        for name in blow.workers if blow.wiped else ():
            shutil.rmtree(self.system.home / f"state-{name}", ignore_errors=True)
        self.fresh = [self._start(name) for name in blow.workers]
        self.struck[blow.what] += 1

    def _kill_broker(self) -> None:
        """Kill the broker, and start it again after a while."""
        broker = Broker(self.system.home / "broker", self.system.home)
        address = broker.running()
        if address is None:
            raise SystemFailedError("the broker is gone by itself")
        os.kill(address.pid, signal.SIGKILL)
        wait_until("the broker's end", lambda: broker.running() is None, 20)
        time.sleep(float(self.rng.uniform(*BROKER_AWAY_SECONDS)))
        self.system.run("broker", "start")
        for name, worker in list(self.workers.items()):
            if not worker.alive and NO_BROKER in worker.tail():
                self.n_without_broker += 1
                self._start(name)


def not_durable(worker: Service) -> int:
    """Return the events that a worker has applied and not yet made durable."""
    # It may have no partitions, or not answer yet.
    with suppress(OSError, HTTPException, UnexpectedAnswerError, ValueError):
        parts = owned_partitions(worker.url).values()
        return sum(
            int(part["position"]) - int(part["durable_watermark"])
            for part in parts
            if part.get("durable_watermark") is not None
        )
    return 0
