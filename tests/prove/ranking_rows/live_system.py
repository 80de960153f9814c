"""Everything that ranks, running on this machine, with users who have a past."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from prove.filling import fill, stream
from prove.rows import Bench
from prove.system import Service, System
from prove.verification import wait_caught_up
from streams.bench.workload import N_CATEGORIES, N_ITEMS, Workload

N_PARTITIONS = 4
#: Events stream in for the first ones; the others are asked for, and their states stand still.
N_USERS, N_STREAMED = 20_000, 10_000
#: So that all but a few users have a hundred behaviors.
EVENTS_OF_USER = 130
N_CANDIDATES = 100
TOP_K = 20
EVENTS_PER_SECOND = 2_000.0
#: Of the steady stream; ended when it is no longer needed.
STREAM_SECONDS = 3_600


@dataclass
class Live:
    """A broker, interest workers and a ranking worker.

    Attributes:
        system: Their system.
        workers: The interest workers.
        ranker: The ranking worker.
    """

    system: System
    workers: list[Service]
    ranker: Service


@contextmanager
def live_system(
    bench: Bench, worker_names: Sequence[str] = ("worker",), **settings: object
) -> Iterator[Live]:
    """Start everything, fill the states, and let events stream in.

    Args:
        bench: Of the line.
        worker_names: Of the interest workers.
        settings: Of everything.
    """
    load = Workload("mimn", "uniform", N_USERS, N_USERS * EVENTS_OF_USER, N_PARTITIONS, bench.seed)
    settings |= {**load.prepare(bench.workspace / "model"), "partitions": N_PARTITIONS}
    with System(bench.workspace / "system", **settings) as system:
        system.start_broker()
        bench.say(f"{load.n_events:,} events into the topic")
        fill(system, load)
        workers = [system.start_worker(name) for name in worker_names]
        for worker in workers:
            worker.wait_ready(600)
        wait_caught_up(system, workers)
        urls = ",".join(worker.url for worker in workers)
        ranking = system.start_ranker(worker_urls=urls)
        ranking.wait_ready()
        n_events = int(EVENTS_PER_SECOND * STREAM_SECONDS)
        own = Workload("mimn", "uniform", N_STREAMED, n_events, N_PARTITIONS, bench.seed + 1)
        stream(system, own, EVENTS_PER_SECOND)
        yield Live(system, workers, ranking)


def requests(rng: np.random.Generator, n: int, **fields: object) -> list[bytes]:
    """Return requests of different users, as JSON.

    Args:
        rng: Chooses users and candidates.
        n: How many; users come again when there are more requests than users.
        fields: Further fields of each.
    """
    asked = np.arange(N_STREAMED, N_USERS) + 1
    order = np.concatenate([rng.permutation(asked) for _ in range(-(-n // len(asked)))])[:n]
    found = []
    for user in order.tolist():
        items = rng.choice(N_ITEMS, N_CANDIDATES, replace=False) + 1
        candidates = [
            {"item_id": str(item), "category_id": str(item % N_CATEGORIES + 1)}
            for item in items.tolist()
        ]
        body = {"user_id": str(user), "candidates": candidates, "top_k": TOP_K} | fields
        found.append(json.dumps(body).encode())
    return found
