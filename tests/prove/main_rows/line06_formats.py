"""Line 6: every form through ``uic produce``, interrupted and resumed; a foreign memory."""

import csv
import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from prove.bundles import bundle_for
from prove.logs import Event, read_taobao
from prove.reading import Connection, metric, owned_partitions
from prove.rows import Bench, Check, equal
from prove.sending import Sent
from prove.system import Service, System, SystemFailedError, wait_until
from prove.topics import end_offsets, form_of, produced_events
from prove.verification import EVENTS_TOPIC, check_of_the_check, expectation, verified

N_EVENTS = 20_000
RATE = 600
#: How a run is ended while it sends; the last run goes to the end.
INTERRUPTIONS = (signal.SIGINT, signal.SIGKILL, signal.SIGTERM)
INTERRUPTED = 130
N_RANKED = 50
N_CANDIDATES = 40
#: This line is not about time: a state that comes late would hide what it is about.
PATIENT_MS = 2_000


def write_json_lines(events: list[Event], path: Path) -> None:
    """Write one JSON object a line."""
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def write_csv(events: list[Event], path: Path) -> None:
    """Write a table with a header; the columns have names of their own, times are seconds."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "visitor", "sku", "category_id", "what", "seconds"])
        for event in events:
            seconds = event["event_time_ms"] // 1000
            names = ("event_id", "user_id", "item_id", "category_id", "event_type")
            writer.writerow([*(event[name] for name in names), seconds])


def write_parquet(events: list[Event], path: Path) -> None:
    """Write a parquet file."""
    pl.DataFrame(events).write_parquet(path)


@dataclass(frozen=True)
class Form:
    """One way in.

    Attributes:
        name: What it is.
        suffix: Of the file.
        write: Makes the file.
        options: What ``uic produce`` has to be told about it.
    """

    name: str
    suffix: str
    write: Callable[[list[Event], Path], None]
    options: tuple[str, ...] = ()

    @property
    def in_topic(self) -> str:
        """What its events are in the topic."""
        return self.name if self.name.startswith("CloudEvents") else "plain JSON"


FORMS = (
    Form("plain JSON", "jsonl", write_json_lines),
    Form("CloudEvents binary", "jsonl", write_json_lines, ("--as", "cloudevents-binary")),
    Form("CloudEvents structured", "jsonl", write_json_lines, ("--as", "cloudevents-structured")),
    Form(
        "CSV",
        "csv",
        write_csv,
        (
            *("--map", "event_id=id", "--map", "user_id=visitor", "--map", "item_id=sku"),
            *("--map", "event_type=what", "--map", "event_time_ms=seconds", "--time-unit", "s"),
        ),
    ),
    Form("parquet", "parquet", write_parquet),
)


def prove(bench: Bench) -> Iterator[Check]:
    """Push a log's slices, each in another form; then rank with a bundle of other weights."""
    events = read_taobao(bench)[:N_EVENTS]
    bundle = bundle_for(events, bench.workspace / "bundle", bench.seed)
    settings = {"rank_deadline_ms": PATIENT_MS}
    with System(bench.workspace / "system", **settings) as system:
        system.start_broker()
        worker = system.start_worker(bundle=bundle)
        # In the order of time: each form carries on where the one before ended.
        for form, part in zip(
            FORMS, np.array_split(np.arange(len(events)), len(FORMS)), strict=True
        ):
            slice_ = events[part[0] : part[-1] + 1]
            yield interrupted_and_resumed(bench, system, form, slice_)
        sent = produced_events(system.bootstrap, EVENTS_TOPIC)
        yield nothing_lost(sent, events)
        yield each_in_its_form(sent, len(events))
        expected = expectation(sent, bundle)
        yield from verified(system, [worker], expected, bench.say)
        yield nothing_doubled(worker, len(events))
        yield check_of_the_check([worker], expected)
        yield from foreign_memory(bench, system, worker, events)


def interrupted_and_resumed(bench: Bench, system: System, form: Form, events: list[Event]) -> Check:
    """Send a file with ``uic produce``, interrupted in every way, and resumed to its end."""
    path = bench.workspace / f"{form.name.replace(' ', '-')}.{form.suffix}"
    form.write(events, path)
    before = n_produced(system)
    ways = [interrupted(bench, system, form, path, how) - before for how in INTERRUPTIONS]
    bench.say(f"{form.name}: to the end")
    done = system.run("produce", str(path), *form.options)
    again = system.run("produce", str(path), *form.options)
    names = ", ".join(how.name for how in INTERRUPTIONS)
    midway = ways == sorted(set(ways)) and ways[0] > 0 and ways[-1] < len(events)
    return Check(
        f"{form.name}: records in the topic after {names}",
        f"{', '.join(map(str, ways))}; then {done.stdout.strip()}",
        f"growing, below {len(events):,}; a run after the end sends nothing",
        midway and "sent already" in again.stdout,
    )


def interrupted(bench: Bench, system: System, form: Form, path: Path, how: signal.Signals) -> int:
    """Let a run send for a while, end it, and return how many records the topic then holds."""
    bench.say(f"{form.name}: {how.name}")
    before = n_produced(system)
    process = system.spawn("produce", "produce", str(path), *form.options, "--rate", str(RATE))
    wait_until("events of the file in the topic", lambda: n_produced(system) > before, 60.0)
    time.sleep(float(bench.rng(6, before).uniform(0.3, 0.9)))
    process.signal(how)
    status = process.wait(60.0)
    expected = -how if how == signal.SIGKILL else INTERRUPTED
    if status != expected:
        raise SystemFailedError(f"produce ended {status}, not {expected}: {process.tail()}")
    return n_produced(system)


def n_produced(system: System) -> int:
    """Return how many records the topic holds."""
    return sum(end_offsets(system.bootstrap, EVENTS_TOPIC).values())


def nothing_lost(sent: list[Sent], events: list[Event]) -> Check:
    """Check that every event of the files is in the topic, as it was written."""
    found = {one.message.event["event_id"]: one.message.event for one in sent if one.message.event}
    wanted = {event["event_id"]: event for event in events}
    same = found == wanted
    n_again = len(sent) - len(found)
    return Check(
        "distinct events in the topic",
        f"{len(found):,}, {n_again} of them sent twice",
        f"the {len(wanted):,} of the files, field by field",
        same,
    )


def each_in_its_form(sent: list[Sent], n_events: int) -> Check:
    """Check that the events of each file are in the topic in the form that was asked for."""
    found: dict[str, set[str]] = {}
    for one in sent:
        message = one.message
        assert message.event is not None
        assert message.value is not None
        name = form_of(dict(message.headers), message.value)
        found.setdefault(name, set()).add(message.event["event_id"])
    told = {name: len(ids) for name, ids in sorted(found.items())}
    wanted = Counter({form.in_topic: 0 for form in FORMS})
    for form, part in zip(FORMS, np.array_split(np.arange(n_events), len(FORMS)), strict=True):
        wanted[form.in_topic] += len(part)
    return equal("distinct events by their form in the topic", told, dict(sorted(wanted.items())))


def nothing_doubled(worker: Service, n_events: int) -> Check:
    """Check that what was sent twice was applied once."""
    applied = sum(part["counters"]["applied"] for part in owned_partitions(worker.url).values())
    return equal("events applied", applied, n_events)


def foreign_memory(
    bench: Bench, system: System, worker: Service, events: list[Event]
) -> Iterator[Check]:
    """Rank with a bundle whose memory has other weights: without memory, and said so."""
    bench.say("a bundle with other memory weights")
    other = bundle_for(events, bench.workspace / "other-bundle", bench.seed + 1)
    bodies = requests(bench, events)
    foreign = system.start_ranker("foreign-ranker", bundle=other, worker_urls=worker.url)
    foreign.wait_ready()
    with_foreign = ranked(foreign.url, bodies)
    reasons = {answer["degraded"] for answer in with_foreign}
    yield equal("degraded, with a bundle of other memory weights", reasons, {"memory_mismatch"})
    fallbacks = metric(foreign.url, "uic_rank_fallbacks_total").get('reason="memory_mismatch"')
    yield equal("counted", fallbacks, float(len(bodies)))
    yield from no_wrong_read(bench, system, other, bodies, with_foreign)
    yield from memory_built_anew(bench, system, worker, other, bodies, with_foreign)


def no_wrong_read(
    bench: Bench,
    system: System,
    other: Path,
    bodies: list[dict[str, Any]],
    with_foreign: list[dict[str, Any]],
) -> Iterator[Check]:
    """Compare with rankings from a worker that never kept a memory."""
    bench.say("a worker without memory, for comparison")
    bare = system.start_worker("bare", group="without-memory", snapshot_url="off")
    bare.wait_ready()
    ranker = system.start_ranker("bare-ranker", bundle=other, worker_urls=bare.url)
    ranker.wait_ready()
    without = ranked(ranker.url, bodies)
    yield equal("a worker without memory", {a["degraded"] for a in without}, {"memory_not_built"})
    same = sum(a["items"] == b["items"] for a, b in zip(with_foreign, without, strict=True))
    yield Check(
        "rankings equal to those without any memory",
        f"{same} of {len(bodies)}",
        "all: the foreign memory was not read",
        same == len(bodies),
    )
    ranker.stop()
    bare.stop()


def memory_built_anew(
    bench: Bench,
    system: System,
    worker: Service,
    other: Path,
    bodies: list[dict[str, Any]],
    with_foreign: list[dict[str, Any]],
) -> Iterator[Check]:
    """Restart the worker with the other bundle: its memories are built, then read."""
    bench.say("the worker with the other bundle")
    ranker = system.start_ranker("new-ranker", bundle=other, worker_urls=worker.url)
    worker.stop()
    again = system.start_worker(bundle=other)
    again.wait_ready()
    ranker.wait_ready()
    seen: list[str | None] = []

    def whole() -> bool:
        seen.extend(answer["degraded"] for answer in ranked(ranker.url, bodies))
        return not any(seen[-len(bodies) :])

    wait_until("memories of the new bundle", whole, 120.0)
    allowed = {None, "memory_mismatch", "memory_not_built", "state_unavailable"}
    yield Check(
        "the worker restarted with that bundle",
        f"degraded before it was built: {sorted({s for s in seen if s})}, then none",
        "without memory or without state, and said so; then none",
        set(seen) <= allowed,
    )
    now = ranked(ranker.url, bodies)
    changed = sum(a["items"] != b["items"] for a, b in zip(now, with_foreign, strict=True))
    yield Check(
        "rankings changed by the memory", f"{changed} of {len(bodies)}", "above 0", changed > 0
    )
    sent = produced_events(system.bootstrap, EVENTS_TOPIC)
    yield from verified(system, [again], expectation(sent, other), bench.say, "with the new bundle")


def requests(bench: Bench, events: list[Event]) -> list[dict[str, Any]]:
    """Return rank requests of users with a history, at a fixed time."""
    rng = bench.rng(6)
    users = sorted({event["user_id"] for event in events})
    pairs = sorted({(event["item_id"], event["category_id"]) for event in events})
    time_ms = events[-1]["event_time_ms"] + 1000
    return [
        {
            "user_id": str(user),
            "time_ms": time_ms,
            "candidates": [
                {"item_id": pairs[at][0], "category_id": pairs[at][1]}
                for at in rng.choice(len(pairs), N_CANDIDATES, replace=False)
            ],
        }
        for user in rng.choice(users, N_RANKED, replace=False)
    ]


def ranked(url: str, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the answers to rank requests."""
    connection = Connection(url)
    try:
        return [connection.post("/v1/rank", body) for body in bodies]
    finally:
        connection.close()
