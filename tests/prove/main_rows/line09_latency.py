"""Line 9: push to visible in an idle system, and rankings of 100 candidates."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from kafka import KafkaProducer

from prove.bundles import bundle_for
from prove.logs import Event
from prove.reading import Answer, Connection, interest_path
from prove.rows import Bench, Check, aim, equal
from prove.sending import good, send_plain
from prove.system import System, SystemFailedError
from prove.verification import EVENTS_TOPIC, wait_caught_up

N_PUSHES = 500
N_RANKS = 1_000
N_WARM = 50
N_USERS = 200
N_BEHAVIORS = 100
N_CANDIDATES = 100
N_ITEMS, N_CATEGORIES = 5_000, 100
VISIBLE_P99_MS, RANK_P99_MS = 500.0, 30.0


def prove(bench: Bench) -> Iterator[Check]:
    """Fill a system, let it come to rest, push one by one, then rank one by one."""
    rng = bench.rng(9)
    events = [
        click(f"u{number % N_USERS}", number, int(rng.integers(1, N_ITEMS)))
        for number in range(N_USERS * N_BEHAVIORS)
    ]
    bundle = bundle_for(events, bench.workspace / "bundle", bench.seed)
    with System(bench.workspace / "system", bundle=bundle) as system:
        system.start_broker()
        worker = system.start_worker()
        send_plain(system.bootstrap, EVENTS_TOPIC, (good(event) for event in events))
        wait_caught_up(system, [worker])
        bench.say("pushing")
        pushes = pushed(system, worker.url, rng)
        told, p99 = quantiles(pushes)
        yield equal("pushes made visible", len(pushes), N_PUSHES)
        yield aim(
            "push to visible", told, f"p99 under {VISIBLE_P99_MS:.0f} ms", p99 < VISIBLE_P99_MS
        )
        ranker = system.start_ranker(worker_urls=worker.url)
        ranker.wait_ready()
        bench.say("ranking")
        times, answers = ranked(ranker.url, rng)
        told, p99 = quantiles(times)
        yield whole_answers(answers)
        yield aim(
            f"rank of {N_CANDIDATES} candidates",
            told,
            f"p99 under {RANK_P99_MS:.0f} ms",
            p99 < RANK_P99_MS,
        )


def click(user: str, number: int, item: int) -> Event:
    """Return a click of now; items have a fixed category."""
    return {
        "event_id": f"e{number}",
        "user_id": user,
        "item_id": str(item),
        "category_id": str(1 + item % N_CATEGORIES),
        "event_type": "click",
        "event_time_ms": int(time.time() * 1000),
    }


def pushed(system: System, url: str, rng: np.random.Generator) -> list[float]:
    """Push events one after another; return the milliseconds until each was visible."""
    producer = KafkaProducer(bootstrap_servers=system.bootstrap, acks="all", linger_ms=0)
    connection = Connection(url)
    times = []
    try:
        for number in range(N_WARM + N_PUSHES):
            user = f"u{rng.integers(N_USERS)}"
            message = good(click(user, 10_000_000 + number, int(rng.integers(1, N_ITEMS))))
            path = interest_path(user)
            before = connection.get(path)["event_count"]
            started = time.perf_counter()
            producer.send(EVENTS_TOPIC, key=message.key, value=message.value)
            producer.flush()
            while connection.get(path)["event_count"] != before + 1:
                if time.perf_counter() - started > 30:
                    raise SystemFailedError(f"push {number} is not visible after 30 s")
            times.append((time.perf_counter() - started) * 1000)
            # Not in step with any timer of the system.
            time.sleep(float(rng.uniform(0.01, 0.06)))
    finally:
        producer.close()
        connection.close()
    return times[N_WARM:]


def ranked(url: str, rng: np.random.Generator) -> tuple[list[float], list[Answer]]:
    """Rank for random users; return milliseconds and answers."""
    connection = Connection(url)
    times, answers = [], []
    for _ in range(N_WARM + N_RANKS):
        items = rng.choice(np.arange(1, N_ITEMS), size=N_CANDIDATES, replace=False)
        body: dict[str, Any] = {
            "user_id": f"u{rng.integers(N_USERS)}",
            "candidates": [
                {"item_id": str(item), "category_id": str(1 + item % N_CATEGORIES)}
                for item in items.tolist()
            ],
        }
        started = time.perf_counter()
        answer = connection.post("/v1/rank", body)
        times.append((time.perf_counter() - started) * 1000)
        answers.append(answer)
    connection.close()
    return times[N_WARM:], answers[N_WARM:]


def whole_answers(answers: Sequence[Answer]) -> Check:
    """Check that every answer ranks all candidates from the whole state, memory included."""
    whole = sum(
        len(answer["items"]) == N_CANDIDATES
        and answer["degraded"] is None
        and answer["history"] == "state"
        for answer in answers
    )
    return Check(
        "rankings from the whole state",
        f"{whole:,} of {len(answers):,}",
        f"at least {N_RANKS * 99 // 100}",
        whole >= N_RANKS * 0.99,
    )


def quantiles(times: Sequence[float]) -> tuple[str, float]:
    """Return p50 and p99 in words, and p99."""
    p50, p99 = np.percentile(times, [50, 99])
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms ({len(times):,})", float(p99)
