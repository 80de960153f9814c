"""A long time under a steady stream, while a second worker comes and goes."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from prove.filling import stream
from prove.reading import owned_partitions
from prove.rows import Check, equal, figure
from prove.system import Service, System, SystemFailedError, wait_until
from prove.topics import end_offsets
from prove.verification import EVENTS_TOPIC
from streams.bench.workload import Workload

STAYS, COMES_AND_GOES = "stays", "comes-and-goes"
LOOK_SECONDS = 1.0
READY_SECONDS = 300.0
DRAIN_SECONDS = 300.0
#: Of the most memory in the second quarter of the time, what the last quarter may reach.
FLAT = 1.1


@dataclass
class Soak:
    """One run.

    Attributes:
        system: With a broker, its topics, and the settings of the workload.
        load: As many events as the rate sends in the time.
        rate: Events a second.
        rebalance_seconds: How often the second worker comes or goes, by turns ended and killed.
        say: Shows where it is.
        memory: Time since the start and bytes that the worker has which stays.
        lags: Events not applied yet, at the same times.
        rebalances: What the second worker did.
        drain_seconds: From the last event sent to the last one applied.
    """

    system: System
    load: Workload
    rate: float
    rebalance_seconds: float
    say: Callable[[str], None]
    memory: list[tuple[float, int]] = field(default_factory=list)
    lags: list[int] = field(default_factory=list)
    rebalances: list[str] = field(default_factory=list)
    drain_seconds: float = 0.0
    _workers: dict[str, Service] = field(default_factory=dict)
    _known: dict[int, int] = field(default_factory=dict)

    def run(self) -> list[Service]:
        """Let it happen; returns the workers that run in the end."""
        self._start(STAYS).wait_ready(READY_SECONDS)
        sender = stream(self.system, self.load, self.rate)
        begun = due = time.monotonic()
        due += self.rebalance_seconds
        while sender.alive:
            time.sleep(LOOK_SECONDS)
            self._look(time.monotonic() - begun)
            if time.monotonic() >= due:
                due += self.rebalance_seconds
                self._rebalance()
        if sender.wait(1.0) != 0:
            raise SystemFailedError(f"the sender ended: {sender.tail()}")
        self._drain()
        for worker in self._workers.values():  # One may have come just now.
            worker.wait_ready(READY_SECONDS)
        return list(self._workers.values())

    def told(self) -> Iterator[Check]:
        """Show how it went."""
        n = len(self.rebalances)
        yield Check("rebalances", f"{n}: {', '.join(self.rebalances)}", "3 or more", n >= 3)
        yield figure(
            "lag when the last event was sent, events; seconds until there was none",
            f"{self.lags[-1]:,} (the most before {max(self.lags):,}); {self.drain_seconds:.1f}",
        )
        counters = self._counters()
        yield equal("events applied", f"{counters:,}", f"{self.load.n_events:,}")

    def flat_memory(self) -> Check:
        """Check the memory of the worker that stays, whose caches take minutes to fill."""
        end = self.memory[-1][0]
        second = self._most_memory(end / 4, end / 2)
        last = self._most_memory(3 * end / 4, end)
        return Check(
            "memory of the worker that stays, MiB: most in the second and in the last quarter",
            f"{second / 2**20:,.0f} and {last / 2**20:,.0f}",
            f"at most {FLAT:g} times",
            last <= FLAT * second,
        )

    def _counters(self) -> int:
        parts = [p for w in self._workers.values() for p in owned_partitions(w.url).values()]
        return sum(int(part["counters"]["applied"]) for part in parts)

    def _most_memory(self, start: float, end: float) -> int:
        return max(bytes_ for at, bytes_ in self.memory if start <= at <= end)

    def _start(self, name: str) -> Service:
        self._workers[name] = self.system.start_worker(name)
        return self._workers[name]

    def _look(self, at: float) -> None:
        for worker in self._workers.values():
            if not worker.alive:
                raise SystemFailedError(f"{worker.name} ended by itself: {worker.tail()}")
        self.memory.append((at, _resident_bytes(self._workers[STAYS].child.pid)))
        self.lags.append(self._lag())

    def _applied(self) -> dict[int, int]:
        """Return the positions of the partitions that somebody owns and has opened."""
        applied: dict[int, int] = {}
        for worker in self._workers.values():
            with suppress(OSError):  # It may be starting.
                for number, part in owned_partitions(worker.url).items():
                    if part["position"] is not None:
                        applied[number] = int(part["position"])
        return applied

    def _lag(self) -> int:
        """Return the events that nobody has applied; of a partition on its way, as last known."""
        self._known |= self._applied()
        ends = end_offsets(self.system.bootstrap, EVENTS_TOPIC)
        return sum(end - self._known.get(number, 0) for number, end in ends.items())

    def _rebalance(self) -> None:
        """Let the second worker come or go."""
        worker = self._workers.get(COMES_AND_GOES)
        if worker is None:
            self._start(COMES_AND_GOES)
            what = "came"
        elif sum(one != "came" for one in self.rebalances) % 2:
            worker.kill_9()
            del self._workers[COMES_AND_GOES]
            what = "was killed"
        else:
            worker.stop()
            del self._workers[COMES_AND_GOES]
            what = "ended"
        self.rebalances.append(what)
        self.say(f"the second worker {what}, lag {self.lags[-1]:,}")

    def _drain(self) -> None:
        begun = time.monotonic()
        ends = end_offsets(self.system.bootstrap, EVENTS_TOPIC)

        def is_level() -> bool:
            at = self._applied()
            return all(at.get(number, 0) >= end for number, end in ends.items())

        wait_until("no lag", is_level, DRAIN_SECONDS)
        self.drain_seconds = time.monotonic() - begun


def _resident_bytes(pid: int) -> int:
    """Return the memory of a process now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4_096
