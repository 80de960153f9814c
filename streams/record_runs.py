"""Runs of records from an aiokafka consumer: with positions, without gaps, whatever they hold.

What a fetch brings is taken batch by batch and left packed, see ``core/packed_records.py``. Private
parts of aiokafka 0.14 are used here; ``tests/contract/test_faust_private_parts.py`` holds them
down.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, FetchError, FetchResult
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.errors import ConsumerStoppedError
from faust.types import TP

from interest_center.core.packed_records import PackedRecords
from streams.fetched_batches import keep_fetched_bytes, take_batches

#: How long few events wait for company: a batch of few costs nearly what one of many does.
FETCH_MAX_WAIT_MS = 50
#: With so many bytes nobody waits.
FETCH_MIN_BYTES = 64 << 10
#: Small fetches: the thread that parses one holds the GIL.
FETCH_BYTES = 512 << 10
REASSIGNMENT_PAUSE_SECONDS = 0.005
STOP_SECONDS = 0.5

#: Of every consumer that takes runs. Positions are ours: no reset, no commit chooses one.
RUN_CONSUMER_OPTIONS: dict[str, Any] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
    "fetch_max_wait_ms": FETCH_MAX_WAIT_MS,
    "fetch_min_bytes": FETCH_MIN_BYTES,
    "max_partition_fetch_bytes": FETCH_BYTES,
    "check_crcs": True,
}


keep_fetched_bytes()


@dataclass(frozen=True, slots=True)
class RecordRun:
    """Consecutive records of a partition between two fetch positions.

    Attributes:
        topic_partition: Where the records are from.
        start_position: Fetch position before the first record.
        next_position: Fetch position after the last one; the offsets between that are not in
            ``packed`` hold nothing for us (markers, aborted records).
        packed: The records, in offset order; may be none.
    """

    topic_partition: TP
    start_position: int
    next_position: int
    packed: PackedRecords

    def until(self, end: int) -> "RecordRun":
        """Return the run as if the log ended at an offset after its start."""
        if end >= self.next_position:
            return self
        return RecordRun(self.topic_partition, self.start_position, end, self.packed.until(end))


def take_runs(fetcher: Fetcher, wanted: Mapping[TP, int]) -> list[RecordRun]:
    """Take what the fetcher holds for some partitions, and move their positions.

    Args:
        fetcher: Of an aiokafka consumer; call this in the loop that the consumer runs in.
        wanted: The most records to take, by partition.

    Raises:
        KafkaError: What the fetcher met instead of records.
    """
    runs = []
    for topic_partition, n_records in wanted.items():
        held = fetcher._records.get(topic_partition)
        if isinstance(held, FetchError):
            _let_go(fetcher, topic_partition)
            held.check_raise()
        elif held is not None:
            run = _take_run(held, topic_partition, n_records)
            if not held.has_more():
                _let_go(fetcher, topic_partition)
            if run is not None:
                runs.append(run)
    return runs


def _take_run(held: FetchResult, topic_partition: TP, n_records: int) -> RecordRun | None:
    """Take a run of what was fetched; None when it is not what comes next."""
    if not held.check_assignment(topic_partition):
        return None
    fetched = held._partition_records
    start = fetched.next_fetch_offset
    packed = take_batches(fetched, n_records)
    held._update_position()
    if not fetched._records.has_batch():
        held._partition_records = None
    if fetched.next_fetch_offset == start:
        return None
    return RecordRun(topic_partition, start, fetched.next_fetch_offset, packed)


def _let_go(fetcher: Fetcher, topic_partition: TP) -> None:
    """Forget what was fetched of a partition, so that it is fetched on from its position."""
    del fetcher._records[topic_partition]
    fetcher._notify(fetcher._wait_consume_future)


def current_assignment(fetcher: Fetcher) -> Assignment | None:
    """Return what is assigned now, another object after each rebalance; None in a rebalance."""
    subscriptions = fetcher._subscriptions
    return None if subscriptions.reassignment_in_progress else subscriptions.subscription.assignment


async def wait_for_runs(
    fetcher: Fetcher, wanted: Mapping[TP, int], timeout_seconds: float, wake: asyncio.Event
) -> list[RecordRun]:
    """Take runs as soon as there are any.

    Returns:
        The runs; none after the timeout, when ``wake`` is set, or when the group rebalances: what
        arrives under the next assignment is not taken, and no position of it is moved.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    assignment = current_assignment(fetcher)
    while assignment is not None and assignment.active:
        runs = take_runs(fetcher, wanted)
        remaining = deadline - loop.time()
        if runs or remaining <= 0 or wake.is_set():
            return runs
        arrived = fetcher._create_fetch_waiter()
        woken = asyncio.ensure_future(wake.wait())
        await asyncio.wait({arrived, woken}, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
        woken.cancel()
        if arrived.done():
            arrived.result()  # raises what the group coordinator could not handle
        else:
            arrived.cancel()
        if fetcher._closed:
            raise ConsumerStoppedError
    await asyncio.sleep(REASSIGNMENT_PAUSE_SECONDS)
    return []


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer outside any group, started or not.

    ``stop`` of aiokafka 0.14 waits for its fetch task, which may lose its cancellation.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    while not (await asyncio.wait({stopping}, timeout=STOP_SECONDS))[0]:
        if consumer._fetcher is not None:
            consumer._fetcher._fetch_task.cancel()
    stopping.result()
