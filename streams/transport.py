"""Batch transport: Faust's aiokafka driver, but one message per run of records, not per record.

What differs from the driver, and why:

* A message carries a ``RecordRun``: records with the fetch position before and after them. Under
  ``read_committed`` offsets have gaps (transaction markers, aborted records), so the position is
  part of the data, and a run without records still moves it.
* A partition is fetched only while it is open: the worker opens it at the watermark of its state.
  Neither committed offsets nor a reset policy ever choose a position.
* A partition has room for so many runs; without room it is not read, which is the back pressure.
* Group commits are a hint for tools. A commit that fails is logged, never a reason to stop.

Private parts of faust-streaming 0.15.3 are used here, those of aiokafka 0.14 in ``record_runs`` and
``fetched_batches``; ``tests/contract/test_faust_private_parts.py`` holds them down.
"""

import asyncio
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import aiokafka
import structlog
from aiokafka.errors import ConsumerStoppedError, KafkaError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from interest_center.core.errors import TruncatedLogError
from interest_center.settings import Settings
from streams.record_runs import (
    RUN_CONSUMER_OPTIONS,
    RecordRun,
    current_assignment,
    wait_for_runs,
)

log = structlog.get_logger(__name__)

IDLE_SECONDS = 1.0
STOP_SECONDS = 8.0
#: Of a commit at a rebalance or in the end.
LAST_COMMIT_SECONDS = 5.0
REBALANCE_POLL_SECONDS = 0.005

T = TypeVar("T")


@dataclass(slots=True)
class OpenPartition:
    """A partition that may be fetched.

    Attributes:
        max_records: Most records of one run.
        room: How many more runs the owner takes.
    """

    max_records: int
    room: int


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that fetches, sends heartbeats and commits, in an event loop of its own."""

    #: Without a broker there is nobody to take leave of.
    shutdown_timeout = STOP_SECONDS

    def __post_init__(self) -> None:
        """Prepare what the other thread may touch before this one runs."""
        super().__post_init__()
        self.last_heartbeat = -float("inf")
        self._wake = asyncio.Event()

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        """Build the consumer; replaces the driver's hard-coded fetch wait and reset policy."""
        settings: Settings = cast(Any, self.app).center_settings
        conf = self.app.conf
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            **settings.kafka_options(),
            **RUN_CONSUMER_OPTIONS,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=settings.instance_id or None,
            partition_assignment_strategy=[self._assignor],
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(settings.session_timeout_seconds * 1000),
            heartbeat_interval_ms=int(settings.session_timeout_seconds * 1000 / 5),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 0) * 1000),
        )

    async def on_start(self) -> None:
        """Start the consumer and watch its heartbeats."""
        await super().on_start()
        coordinator = self._ensure_consumer()._coordinator
        beat = coordinator._do_heartbeat

        async def timed_heartbeat() -> bool:
            sent = time.monotonic()
            success: bool = await beat()
            if success:
                self.last_heartbeat = sent
            return success

        coordinator._do_heartbeat = timed_heartbeat

    async def stop(self) -> None:
        """Leave the group; without a broker, leave it to the session timeout."""
        try:
            await super().stop()
        except TimeoutError:
            log.warning("group_not_left", why="the broker does not answer")

    async def on_thread_stop(self) -> None:
        """Stop the consumer, whose own tasks end by being cancelled."""
        with suppress(asyncio.CancelledError):
            await super().on_thread_stop()

    def _stopped_set(self) -> None:
        """Note the end; a thread that crashed has closed its loop, and nobody waits in it."""
        if not self.thread_loop.is_closed():
            super()._stopped_set()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Count the join as a heartbeat: the broker starts the session with it."""
        self.last_heartbeat = time.monotonic()
        await super().on_partitions_assigned(assigned, generation_id)

    async def in_thread(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop of this thread and wait for it in the caller's loop.

        The method queue of Faust has two workers only, which a long fetch would block.

        Raises:
            ConsumerStoppedError: The thread is about to end.
        """
        if self.should_stop:
            coroutine.close()
            raise ConsumerStoppedError
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(coroutine, self.thread_loop)
        )

    def wake_fetch(self) -> None:
        """Make a waiting ``fetch_runs`` return, because what is wanted has changed."""
        self.thread_loop.call_soon_threadsafe(self._wake.set)

    @property
    def assigned(self) -> object:
        """What the group has assigned, another object after each rebalance."""
        return current_assignment(self._ensure_consumer()._fetcher)

    async def fetch_runs(self, wanted: Mapping[TP, int], assigned: object) -> list[RecordRun]:
        """Return the next runs of the wanted partitions, none after a second without any.

        Args:
            wanted: The most records of each.
            assigned: For which assignment they are wanted; under another one nothing is taken.
        """
        return await self.in_thread(self._fetch_runs(wanted, assigned))

    async def _fetch_runs(self, wanted: Mapping[TP, int], assigned: object) -> list[RecordRun]:
        consumer = self._ensure_consumer()
        if consumer._closed or consumer._fetcher._closed:
            raise ConsumerStoppedError
        if assigned is not current_assignment(consumer._fetcher):
            return []
        # The context tells the coordinator that this member is alive, also without open partitions.
        with consumer._fetcher._subscriptions.fetch_context():
            runs = await wait_for_runs(consumer._fetcher, wanted, IDLE_SECONDS, self._wake)
        # Cleared at the end, never at the start: a wake-up that comes early costs one empty turn,
        # one that is lost would cost a second.
        self._wake.clear()
        return runs

    async def move_to(self, topic_partition: TP, position: int) -> None:
        """Seek, in the thread that owns the positions."""

        async def seek() -> None:
            self._ensure_consumer().seek(driver.ensure_aiokafka_TP(topic_partition), position)

        await self.in_thread(seek())

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit as a hint: a broker that is away now gets the next one."""
        committed = {
            driver.ensure_aiokafka_TP(tp): offset
            for tp, offset in offsets.items()
            if tp in self.assignment()
        }
        if not committed:
            return False
        try:
            await self._ensure_consumer().commit(committed)
        except KafkaError as error:
            log.info("commit_not_taken", error=repr(error))
            return False
        return True


class BatchConsumer(driver.Consumer):
    """Hands one message per run of records to the conductor."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.open_partitions: dict[TP, OpenPartition] = {}
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> BatchConsumerThread:
        """The fetching thread."""
        thread = self._thread
        assert isinstance(thread, BatchConsumerThread)
        return thread

    async def open_partition(
        self, topic_partition: TP, position: int, opened: OpenPartition
    ) -> None:
        """Fetch a partition from a position on.

        Raises:
            IllegalStateError: The partition is not assigned to this member (any more).
        """
        await self.thread.move_to(topic_partition, position)
        self.open_partitions[topic_partition] = opened
        self.thread.wake_fetch()

    def close_partition(self, topic_partition: TP) -> None:
        """Fetch a partition no longer; what is already fetched is dropped at the next open."""
        self.open_partitions.pop(topic_partition, None)

    def give_room(self, topic_partition: TP, max_records: int) -> None:
        """Take one more run of a partition."""
        opened = self.open_partitions.get(topic_partition)
        if opened is not None:
            opened.max_records = max_records
            opened.room += 1
            if opened.room == 1:
                self.thread.wake_fetch()

    async def perform_seek(self) -> None:
        """Do nothing: positions come from the states, not from committed offsets."""

    async def wait_empty(self) -> None:
        """Commit what is acknowledged; do not wait for the rest, which is replayed.

        The commit is a hint: after a crash, when nobody serves it any more, and without a broker
        it would wait for ever.
        """
        self._unacked_messages.clear()
        if self.crashed:
            return
        try:
            await asyncio.wait_for(self.commit_and_end_transactions(), LAST_COMMIT_SECONDS)
        except TimeoutError:
            log.warning("last_commit_given_up", seconds=LAST_COMMIT_SECONDS)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Say nothing: the driver takes the age of the last record for a stall."""

    def _new_offset(self, tp: TP) -> int | None:
        """Return what to commit: acks come in order, one consumer a partition."""
        acked = self._acked[tp]
        if not acked:
            return None
        offset: int = max(acked) + 1
        acked.clear()
        self._acked_index[tp].clear()
        return offset

    async def _drain_messages(self, fetcher: Any) -> None:
        """Fetch and deliver until told to stop; runs as a task of Faust's fetcher service."""
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active or self.app.rebalancing:
                    # Faust clears the stream's queue when it resumes the flow, so nothing may be
                    # delivered until the rebalance is over.
                    await self.sleep(REBALANCE_POLL_SECONDS)
                    continue
                generation, assigned = self.app.consumer_generation_id, self.thread.assigned
                wanted = {
                    tp: opened.max_records
                    for tp, opened in self.open_partitions.items()
                    if opened.room > 0
                }
                for run in await self.thread.fetch_runs(wanted, assigned):
                    if not await self._deliver(run, generation):
                        break
        except OffsetOutOfRangeError as error:
            raise TruncatedLogError(
                f"the event log no longer holds the next event needed: {error.args[0]}",
                hint="restart with --accept-truncated-history to go on without the lost events",
            ) from error
        except ConsumerStoppedError:
            if not self.app.should_stop:
                raise

    async def _deliver(self, run: RecordRun, generation: int) -> bool:
        """Hand a run to the conductor, False when the assignment it belongs to is over."""
        if not self.flow_active or self.app.consumer_generation_id != generation:
            return False
        opened = self.open_partitions.get(run.topic_partition)
        if opened is None:
            return True
        opened.room -= 1
        await self.wait_first(self.callback(message_of(run, generation)), self.suspend_flow.wait())
        return True


def message_of(run: RecordRun, generation: int) -> ConsumerMessage:
    """Wrap a run for Faust; acknowledging it commits the position after it."""
    tp = run.topic_partition
    timestamp_ms = max(run.packed.append_times_ms, default=0)
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        run.next_position - 1,
        timestamp_ms / 1000.0,
        1,  # log append time
        None,
        None,
        run,  # type: ignore[arg-type]  # the schema of the topic passes it on as it is
        None,
        0,
        0,
        tp,
        generation_id=generation,
    )


class BatchTransport(driver.Transport):
    """Faust transport whose consumer delivers runs."""

    Consumer = BatchConsumer
