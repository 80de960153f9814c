"""Line 11: the sustained rate of one worker with real MIMN updates, and where its time goes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from prove.bundles import bundle_for
from prove.logs import Event
from prove.reading import metric, owned_partitions
from prove.rows import Bench, Check, equal, figure
from prove.sending import Message, good, send_plain
from prove.system import Service, System, SystemFailedError
from prove.verification import EVENTS_TOPIC

N_USERS, N_ITEMS, N_CATEGORIES = 100_000, 50_000, 500
MIN_SECONDS = 30.0
#: Sent before the worker starts; more than a worker of this machine applies in half a minute.
N_EVENTS = 1_200_000
PART = 100_000
LOOK_SECONDS = 0.25
MOST_SECONDS = 900.0
START_MS = 1_700_000_000_000


@dataclass
class Watch:
    """Positions of a worker over time: seconds, events applied, events durable."""

    looks: list[tuple[float, int, int]] = field(default_factory=list)

    def until_durable(self, worker: Service, n_events: int) -> None:
        """Look until everything is durable.

        Raises:
            SystemFailedError: The worker ended, or it takes too long.
        """
        deadline = time.monotonic() + MOST_SECONDS
        while not self.looks or self.looks[-1][2] < n_events:
            if not worker.alive or time.monotonic() > deadline:
                raise SystemFailedError(f"{worker.name} did not finish: {worker.tail()}")
            parts = owned_partitions(worker.url).values()
            applied = sum(int(part["position"] or 0) for part in parts)
            durable = sum(int(part["durable_watermark"] or 0) for part in parts)
            self.looks.append((time.monotonic(), applied, durable))
            time.sleep(LOOK_SECONDS)

    @property
    def seconds(self) -> float:
        """Time from the last look without an applied event to the first with all durable."""
        first = max(at for at, applied, _ in self.looks if applied == 0)
        return self.looks[-1][0] - first


def prove(bench: Bench) -> Iterator[Check]:
    """Fill the topic, let a worker work it off, and account for its time."""
    rng = bench.rng(11)
    sample = [event for _, event in zip(range(N_ITEMS), events_of(rng), strict=False)]
    bundle = bundle_for(sample, bench.workspace / "bundle", bench.seed)
    with System(bench.workspace / "system", bundle=bundle) as system:
        system.start_broker()
        for sent in range(0, N_EVENTS, PART):
            bench.say(f"filling the topic: {sent:,} of {N_EVENTS:,} events")
            send_plain(system.bootstrap, EVENTS_TOPIC, messages(rng, sent, PART))
        bench.say("the worker at work")
        worker = system.start_worker()
        worker.wait_live()
        watch = Watch()
        watch.until_durable(worker, N_EVENTS)
        yield from told(worker, watch)


def events_of(rng: np.random.Generator, first: int = 0) -> Iterator[Event]:
    """Yield clicks of random users on random items; each item has one category."""
    number = first
    while True:
        items = rng.integers(1, N_ITEMS + 1, PART).tolist()
        for user, item in zip(rng.integers(1, N_USERS + 1, PART).tolist(), items, strict=True):
            yield {
                "event_id": f"e{number}",
                "user_id": str(user),
                "item_id": str(item),
                "category_id": str(1 + item % N_CATEGORIES),
                "event_type": "click",
                "event_time_ms": START_MS + number,
            }
            number += 1


def messages(rng: np.random.Generator, first: int, count: int) -> Iterator[Message]:
    """Yield so many events as messages."""
    for _, event in zip(range(count), events_of(rng, first), strict=False):
        yield good(event)


def told(worker: Service, watch: Watch) -> Iterator[Check]:
    """Tell rate, checkpoint interval and where the time went."""
    parts = owned_partitions(worker.url).values()
    applied = sum(part["counters"]["applied"] for part in parts)
    remembered = sum(part["memory_from"] == 0 for part in parts)
    yield equal("events applied and durable", applied, N_EVENTS)
    yield equal("partitions with memories of all events", remembered, len(parts))
    seconds = watch.seconds
    yield Check(
        "sustained, from the first consumed to all durable",
        f"{N_EVENTS / seconds:,.0f} events/s over {seconds:.0f} s",
        f"over at least {MIN_SECONDS:.0f} s",
        seconds >= MIN_SECONDS,
    )
    halves = [rate_between(watch, share, share + 0.25) for share in (0.0, 0.25, 0.5, 0.75)]
    yield figure("by quarter", ", ".join(f"{rate:,.0f}" for rate in halves) + " events/s")
    yield figure("checkpoints", checkpoints(worker))
    yield figure("where the time goes", stages(worker, seconds))


def rate_between(watch: Watch, low: float, high: float) -> float:
    """Return the rate at which events between two shares of all of them were applied."""
    at = [seconds for seconds, _, _ in watch.looks]
    applied = [count for _, count, _ in watch.looks]
    times = np.interp([low * N_EVENTS + 1, high * N_EVENTS], applied, at)
    return float((high - low) * N_EVENTS / (times[1] - times[0]))


def total(worker: Service, name: str, labels: str = "") -> float:
    """Return one sample of a worker's metrics, 0 when it is not there."""
    return metric(worker.url, name).get(labels, 0.0)


def checkpoints(worker: Service) -> str:
    """Tell how many checkpoints there were, how long between them, and their size."""
    count = total(worker, "uic_checkpoint_interval_seconds_count")
    between = total(worker, "uic_checkpoint_interval_seconds_sum") / count
    took = total(worker, "uic_checkpoint_seconds_sum") / count
    size = total(worker, "uic_checkpoint_bytes_total")
    return (
        f"{count:.0f}, on average {between:.2f} s apart in a partition, {took * 1000:.0f} ms and "
        f"{size / count / 2**20:.1f} MiB each, {size / N_EVENTS:.0f} bytes per event"
    )


def stages(worker: Service, seconds: float) -> str:
    """Tell what a second of the work was spent on, summed over the threads."""
    spent = {
        stage: total(worker, "uic_batch_seconds_sum", f'stage="{stage}"')
        for stage in ("decode", "apply")
    }
    spent["checkpoint"] = total(worker, "uic_checkpoint_seconds_sum")
    cpu = total(worker, "process_cpu_seconds_total")
    by_stage = ", ".join(
        f"{name} {used:.1f} s ({used / N_EVENTS * 1e6:.1f} us an event)"
        for name, used in spent.items()
    )
    return (
        f"of {seconds:.0f} s on two cores: {by_stage} (threads wait for each other in these); "
        f"CPU of the worker {cpu:.0f} s, {cpu / N_EVENTS * 1e6:.1f} us an event, start included"
    )
