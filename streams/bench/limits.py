"""The parts of the engine, each measured alone by one thread: what the whole cannot exceed."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from interest_center.answers import CenterOptions
from interest_center.center import PartitionCenter
from interest_center.core.event_decoder import EventDecoder
from interest_center.core.events import EventBatch, EventRules
from interest_center.core.layout import StateConfig
from interest_center.core.meta import LogIdentity
from interest_center.core.protocols import MemoryUpdater, Store
from interest_center.settings import Settings
from interest_center.stores.memory import MemoryStore
from interest_center.stores.rocksdb import RocksStore
from models.bundle import load_updater
from streams.bench.toy_worker import ToyUpdater
from streams.bench.workload import Workload
from streams.copies import StateRules
from streams.record_runs import RecordRun
from streams.topic_reading import TopicReading
from streams.warm_up import WarmUp
from streams.worker_tools import state_rules

PARTITION = 0
#: Events between two checkpoints: a second's worth of one of four partitions.
CHECKPOINT_EVENTS = 15_000


@dataclass(frozen=True)
class Limits:
    """Events a second that one thread reaches when it does nothing else.

    Attributes:
        fetch: From Kafka to packed records.
        decode: From packed records to columns.
        scan: Columns into rows in memory, the memory model included.
        rocksdb: Rows and journal into RocksDB, at the rhythm of a worker.
    """

    fetch: float
    decode: float
    scan: float
    rocksdb: float


def measure_limits(settings: Settings, load: Workload, place: Path) -> Limits:
    """Take one partition of a filled topic through each part by itself.

    Args:
        settings: Where Kafka is, the topic, and what a worker keeps.
        load: What is in the topic.
        place: For a RocksDB.
    """
    asyncio.run(_fetched(settings))  # Kafka's cache is warm afterwards.
    begun = time.perf_counter()
    runs = asyncio.run(_fetched(settings))
    seconds = {"fetch": time.perf_counter() - begun}
    rules = state_rules(settings)
    decoder = EventDecoder(EventRules(settings.events_topic, load.n_partitions, rules.event_types))
    WarmUp(StateRules(rules, None, CenterOptions(), None), decoder).wait()
    begun = time.perf_counter()
    batches = list(_decoded(decoder, runs))
    seconds["decode"] = time.perf_counter() - begun
    updater = updater_of(settings, load)
    for _ in range(2):  # The loops of the memory are compiled in the first turn.
        seconds["scan"], _ = _applied(MemoryStore(), rules, updater, batches, load)
    store = RocksStore(place / "limits")
    _, seconds["rocksdb"] = _applied(store, rules, updater, batches, load)
    n = sum(len(batch.events) for batch in batches)
    return Limits(**{name: n / spent for name, spent in seconds.items()})


def updater_of(settings: Settings, load: Workload) -> MemoryUpdater | None:
    """Return what keeps the memories of a workload; None for none."""
    if load.work == "toy":
        return ToyUpdater()
    return None if settings.bundle is None else load_updater(settings.bundle)


async def _fetched(settings: Settings) -> list[RecordRun]:
    """Return the runs of the partition."""
    async with TopicReading(settings, settings.events_topic) as reading:
        bounds = await reading.bounds(PARTITION)
        return [run async for run in reading.runs(PARTITION, *bounds)]


def _decoded(decoder: EventDecoder, runs: list[RecordRun]) -> Iterator[EventBatch]:
    """Yield the events of runs."""
    for run in runs:
        yield decoder.decode(PARTITION, run.packed, run.start_position, run.next_position)


def _applied(
    store: Store,
    rules: StateConfig,
    updater: MemoryUpdater | None,
    batches: list[EventBatch],
    load: Workload,
) -> tuple[float, float]:
    """Apply all events to an empty store; return the seconds of scans and of checkpoints."""
    identity = LogIdentity("bench", "bench", "bench", load.n_partitions, PARTITION)
    options = CenterOptions(hot_users=load.n_users, timer=time.perf_counter)
    center = PartitionCenter(store, rules, updater, identity, options)
    scan = checkpoints = 0.0
    pending = 0
    for batch in batches:
        begun = time.perf_counter()
        center.apply(batch)
        scan += time.perf_counter() - begun
        pending += len(batch.events)
        begun = time.perf_counter()
        while pending >= CHECKPOINT_EVENTS or center.needs_checkpoint():
            center.checkpoint()
            pending = 0
        checkpoints += time.perf_counter() - begun
    center.close()
    return scan, checkpoints
