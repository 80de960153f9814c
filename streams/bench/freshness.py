"""How fresh states are under a steady stream: from a push to the state that shows it, and reads."""

import asyncio
import gc
import json
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import numpy as np
from aiokafka import AIOKafkaProducer

from interest_center.settings import Settings, environment_of
from streams.bench.contest import Contest
from streams.bench.measuring import Measured, NotMeasuredError, between, look
from streams.bench.workload import Workload
from streams.processes import Processes, last_lines, wait_until_ready

#: Connections and the first checkpoints are behind it then.
WARM_UP_SECONDS = 10.0
PROBE_PAUSE = 0.2
#: A probe looks again after so long, at first and later by the time that it has waited: looking
#: costs the worker as much as any other read, and is at most a tenth of what is measured.
LOOK_AGAIN_SECONDS = 0.02
LOOK_AGAIN_SHARE = 0.1
LONGEST_PROBE_SECONDS = 30.0
READ_PAUSE = 0.02


@dataclass(frozen=True)
class Fresh:
    """What was seen under a steady stream; times in seconds.

    Attributes:
        work: Events, CPU, stages, checkpoints, lateness of the event loop.
        visible: From each probe's push to the answer that shows it.
        reads: Of a user's state over HTTP.
    """

    work: Measured
    visible: Sequence[float]
    reads: Sequence[float]

    def as_json(self) -> dict[str, Any]:
        """Return all figures; times in milliseconds."""
        return {
            **self.work.as_json(),
            "visible_ms": quantiles_ms(self.visible),
            "read_ms": quantiles_ms(self.reads),
        }


def quantiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Return count, median, 99th percentile and largest of some times, in milliseconds."""
    p50, p99 = np.quantile(seconds, (0.5, 0.99)) * 1e3
    return {
        "n": len(seconds),
        "p50": round(float(p50), 2),
        "p99": round(float(p99), 2),
        "max": round(max(seconds) * 1e3, 2),
    }


def measure_freshness(contest: Contest, load: Workload, rate: float, seconds: float) -> Fresh:
    """Let one worker run beside a steady sender, and watch it for some seconds.

    Args:
        contest: Open, its topic empty.
        load: What is sent; must last long enough.
        rate: Events a second.
        seconds: How long to watch.

    Raises:
        NotMeasuredError: A push was not seen in the state after half a minute, or the sender ended.
    """
    environment = environment_of(contest.settings)
    sender = (msgspec.json.encode(load).decode(), str(rate))
    with (
        contest.workers(1) as children,
        Processes(environment, contest.home / "sender") as processes,
    ):
        [(url, worker)] = children.items()
        wait_until_ready(worker, f"{url}/health/ready")
        child = processes.spawn("sender", *sender, program="streams.bench.steady_sender")
        time.sleep(WARM_UP_SECONDS)
        gc.freeze()  # what is measured is not this process looking at its own objects
        first = look(children, contest.broker_pid)
        visible, reads = asyncio.run(_watch(contest.settings, url, load, seconds))
        last = look(children, contest.broker_pid)
        if child.process.poll() is not None:
            raise NotMeasuredError(f"the sender ended:\n{last_lines(child.log)}")
        return Fresh(between(first, last, children), visible, reads)


async def _watch(
    settings: Settings, url: str, load: Workload, seconds: float
) -> tuple[list[float], list[float]]:
    """Push probes and read states for some seconds; return how long each took."""
    users = np.random.default_rng(load.seed).integers(1, load.n_users + 1, _n(seconds, READ_PAUSE))
    producer = AIOKafkaProducer(**settings.kafka_options(), acks="all")
    await producer.start()
    try:
        async with aiohttp.ClientSession(url) as http:
            probes = (
                _until_visible(http, producer, settings.events_topic, number)
                for number in range(_n(seconds, PROBE_PAUSE))
            )
            reads = (_seconds_of_read(http, str(user)) for user in users)
            visible, read = await asyncio.gather(
                _spread(probes, PROBE_PAUSE), _spread(reads, READ_PAUSE)
            )
            return visible, read
    finally:
        await producer.stop()


def _n(seconds: float, pause: float) -> int:
    return max(1, int(seconds / pause))


async def _spread(works: Iterable[Coroutine[Any, Any, float]], pause: float) -> list[float]:
    """Begin one work after another at a steady pace; return what they return."""
    tasks, begun = [], time.monotonic()
    for work in works:
        tasks.append(asyncio.create_task(work))
        await asyncio.sleep(begun + len(tasks) * pause - time.monotonic())
    return await asyncio.gather(*tasks)


async def _until_visible(
    http: aiohttp.ClientSession, producer: AIOKafkaProducer, topic: str, number: int
) -> float:
    """Push an event of a new user and return the seconds until the state shows it."""
    user = f"probe-{number}"
    event = {
        "event_id": user,
        "user_id": user,
        "item_id": "1",
        "event_type": "click",
        "event_time_ms": time.time_ns() // 1_000_000,
    }
    begun = time.perf_counter()
    await producer.send(topic, json.dumps(event).encode(), key=user.encode())
    while await _event_count(http, user) == 0:
        waited = time.perf_counter() - begun
        if waited > LONGEST_PROBE_SECONDS:
            raise NotMeasuredError(f"an event was not visible {LONGEST_PROBE_SECONDS:g} s later")
        await asyncio.sleep(max(LOOK_AGAIN_SECONDS, waited * LOOK_AGAIN_SHARE))
    return time.perf_counter() - begun


async def _seconds_of_read(http: aiohttp.ClientSession, user: str) -> float:
    begun = time.perf_counter()
    await _event_count(http, user)
    return time.perf_counter() - begun


async def _event_count(http: aiohttp.ClientSession, user: str) -> int:
    """Ask for a user's state and return its number of events."""
    async with http.get(f"/v1/users/{user}/interest") as answer:
        if answer.status != 200:
            raise NotMeasuredError(f"a read answered {answer.status}: {await answer.text()}")
        return int((await answer.json())["event_count"])
