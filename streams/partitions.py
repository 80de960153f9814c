"""The life of one owned partition: open a copy, replay, apply runs, checkpoint, give it up.

A life outlasts rebalances: while the group reorganises, the partition is suspended with its copy
open. What another worker does meanwhile cannot harm it: the state is f(events up to the watermark).
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from aiokafka.errors import IllegalStateError, KafkaError
from faust.types import TP

from interest_center import metrics
from interest_center.center import PartitionCenter
from interest_center.core.errors import DAMAGED, InterestCenterError, StoreError
from interest_center.core.meta import LogIdentity
from streams.copies import PartitionFiles, open_copy
from streams.kafka_patience import RETRY_SECONDS, passes
from streams.lag_clock import LagClock
from streams.log_identity import check_log
from streams.memory_rebuild import MemoryRebuild
from streams.pending_runs import PendingRuns, ReceivedRun
from streams.record_runs import RecordRun
from streams.replay import Replay
from streams.run_feed import RunFeed
from streams.run_work import apply_batch, count_checkpoint, count_durable, decode_and_apply
from streams.standby import StandbyPartition
from streams.worker_tools import WorkerTools

log = structlog.get_logger(__name__)

SUSPEND_SECONDS = 5.0
OLD_COPY_SECONDS = 0.5
#: After so many damaged copies the disk is not to be trusted, and the worker stops.
MOST_DAMAGED = 3

T = TypeVar("T")


class GivenUpError(Exception):
    """The partition is suspended: what was waited for is not waited for any more."""


class OwnedPartition:
    """One partition that the group has given to this worker.

    Args:
        identity: The log.
        tools: Shared by all partitions.
        fail: Told when the life ends by an error; the worker stops then.
        after: The end of an earlier life of this partition, which still holds the copy.
        standby: Was kept here until now; its copy is gone on with.
    """

    def __init__(
        self,
        identity: LogIdentity,
        tools: WorkerTools,
        fail: Callable[[BaseException], None],
        after: "asyncio.Task[None] | None" = None,
        standby: StandbyPartition | None = None,
    ) -> None:
        self.identity = identity
        self.number = identity.partition
        #: None before a copy is open and after it is released.
        self.center: PartitionCenter | None = None
        self.ready = False
        #: What a read has found wrong with the copy.
        self.damage: InterestCenterError | None = None
        self.replay = Replay(self.number)
        self.state_bytes = 0
        self.pending = PendingRuns()
        self.lag = LagClock(self.pending, tools.reader, self.number)
        self.files = PartitionFiles(tools.settings.states, self.number)
        #: Held by whoever needs the center to stay open: a snapshot, a switch of copies.
        self.copy_lock = asyncio.Lock()
        self._tools = tools
        self._feed = RunFeed(tools, TP(identity.topic, self.number), self.lag)
        self._n_suspended = 0
        self._assigned = asyncio.Event()
        self._suspending = asyncio.Event()
        self._parked = asyncio.Event()
        self._arrived = asyncio.Event()
        self._checkpointed_at = time.monotonic()
        self._fail = fail
        self._standby = standby
        self._rebuild: MemoryRebuild | None = None
        self._life = asyncio.create_task(self._live(after))
        self._life.add_done_callback(self._ended)

    # --- what the group says ---------------------------------------------------------------

    @property
    def is_assigned(self) -> bool:
        """Whether the group says now that this partition is ours."""
        return self._assigned.is_set()

    def resume(self) -> None:
        """Go on, or begin: the partition is (again) ours."""
        self._assigned.set()

    async def suspend(self, seconds: float = SUSPEND_SECONDS) -> None:
        """Stop after the current run and checkpoint; give up waiting after some seconds."""
        self._assigned.clear()
        self._suspending.set()
        self._n_suspended += 1
        self.ready = False
        self._feed.close()
        self._arrived.set()
        if self.center is None:
            return  # Still opening, and it may take long: nothing to stop.
        try:
            await asyncio.wait_for(self._parked.wait(), seconds)
        except TimeoutError:
            log.warning("suspend_takes_long", partition=self.number)

    async def close(self) -> None:
        """Release the copy, as soon as nothing works on it."""
        self._assigned.clear()
        self._suspending.set()
        self._arrived.set()
        parked = asyncio.ensure_future(self._parked.wait())
        await asyncio.wait({parked, self._life}, return_when=asyncio.FIRST_COMPLETED)
        parked.cancel()
        self._life.cancel()
        if self._standby is not None:
            await self._standby.close()
        if self._rebuild is not None:
            await self._rebuild.abandon()
        async with self.copy_lock:
            if self.center is not None:
                try:
                    await self.in_thread(self.center.settle)
                except StoreError as error:  # What the journal holds is replayed at the next start.
                    log.warning("rows_left_to_the_journal", partition=self.number, why=str(error))
                await self.in_thread(self.center.close)
                self.center = None

    def offer(self, received: ReceivedRun) -> None:
        """Take a run from the agent; one from before the last seek is dropped."""
        if not self.is_assigned or not self._feed.continues(received.run):
            self._feed.give_room()
            self._arrived.set()
            return
        self.pending.add(received)
        self._arrived.set()

    # --- the life --------------------------------------------------------------------------

    async def _live(self, after: "asyncio.Task[None] | None") -> None:
        if after is not None:
            await asyncio.wait({after})
        await self.in_thread(self._tools.warm_up.wait)
        for _ in range(MOST_DAMAGED):
            try:
                await self._live_with_a_copy()
            except DAMAGED as error:
                await self._leave_damaged(error)
        raise StoreError(
            f"{MOST_DAMAGED} copies of partition {self.number} were damaged, one after another",
            hint=f"look at the disk under {self.files.path}",
        )

    async def _live_with_a_copy(self) -> None:
        log_end = await self._first_look()
        self.center = await self._open(log_end)
        if self._tools.rules.updater is not None and self.center.memory_from is None:
            self._rebuild = MemoryRebuild(self.identity, self._tools, self.files, self.center)
            self._rebuild.start(self._tell)
        while True:
            await self._turn()
            with suppress(GivenUpError):
                await self._join_log()
                await self._work()
            await self.checkpoint()
            self.pending.forget()
            if self._can_switch():
                with suppress(GivenUpError):
                    await self._switch()

    async def _open(self, log_end: int) -> PartitionCenter:
        """Take the standby's copy over, else open one."""
        if self._standby is not None:
            center = await self._standby.hand_over()
            self._standby = None
            if center is not None:
                return center
        return await self.in_thread(
            open_copy, self.files, self._tools.rules, self.identity, log_end
        )

    async def _leave_damaged(self, error: InterestCenterError) -> None:
        """Set the copy aside, so that a snapshot or the topic takes its place."""
        self.ready = False
        self.damage = None
        self._feed.close()
        self.pending.forget()
        if self._rebuild is not None:
            await self._rebuild.abandon()
            self._rebuild = None
        async with self.copy_lock:
            center, self.center = self.center, None
            if center is not None:
                with suppress(StoreError):
                    await self.in_thread(center.close)
            copy = self.files.current()
            aside = None if copy is None else await self.in_thread(self.files.set_aside, copy)
        metrics.DAMAGED_COPIES.inc()
        log.error("copy_damaged", partition=self.number, why=str(error), now_at=str(aside))

    async def _turn(self) -> None:
        """Wait, parked, until the partition is ours."""
        self._parked.set()
        await self._assigned.wait()
        while not self.is_assigned:  # Given up again before we were woken.
            await self._assigned.wait()
        self._parked.clear()
        self._suspending.clear()

    async def _first_look(self) -> int:
        """Return where the log ends, as soon as the broker says it."""
        while True:
            await self._turn()
            with suppress(GivenUpError):
                return (await self._patiently(lambda: self._tools.reader.bounds(self.number))).end

    def _can_switch(self) -> bool:
        return self.is_assigned and self._rebuild is not None and self._rebuild.is_near.is_set()

    async def _switch(self) -> None:
        """Go on with the copy that has memories, once it is level with the one in use."""
        assert self._rebuild is not None
        self._feed.close()
        rebuilt = await self._unless_suspended(
            self._rebuild.finish(at_least=self.open_center.watermark)
        )
        async with self.copy_lock:
            old, old_copy = self.open_center, self.files.current()
            self.files.make_current(self._rebuild.copy)
            self.center, self._rebuild = rebuilt, None
        log.info("memory_ready", partition=self.number, position=rebuilt.watermark)
        # Reads that still run on it are refused at their end; they need it until then.
        await asyncio.sleep(OLD_COPY_SECONDS)
        await self.in_thread(old.close)
        if old_copy is not None:
            await self.in_thread(shutil.rmtree, old_copy)

    def _ended(self, life: "asyncio.Task[None]") -> None:
        self._parked.set()
        self._tell(life)

    def _tell(self, task: "asyncio.Task[Any]") -> None:
        """Stop the worker when a task of this partition ended by an error."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    async def _patiently(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Ask the broker about this partition until it answers.

        Raises:
            GivenUpError: The partition was suspended meanwhile.
        """
        while True:
            try:
                return await self._unless_suspended(ask())
            except KafkaError as error:
                if not passes(error):
                    raise
                log.warning("broker_does_not_answer", partition=self.number, error=repr(error))
                await self._unless_suspended(asyncio.sleep(RETRY_SECONDS))

    async def _join_log(self) -> None:
        """Check that the log goes on where the state ends, and start to fetch there."""
        center = self.open_center
        settings = self._tools.settings
        tenure = self._n_suspended
        bounds = await self._patiently(
            lambda: check_log(
                center, self.number, self._tools.reader, settings.accept_truncated_history
            )
        )
        self.replay.begin(center.watermark, bounds.end)
        self.lag.saw(bounds.end)
        self.pending.forget()
        self._arrived.clear()
        try:
            await self._feed.open(center.watermark)
        except IllegalStateError:
            if tenure == self._n_suspended:
                raise
        if tenure != self._n_suspended:
            # Meanwhile it may have been another worker's: look again how far that one came.
            self._feed.close()
        self._note_progress()
        log.info(
            "partition_joined", partition=self.number, position=center.watermark, end=bounds.end
        )

    async def _work(self) -> None:
        """Apply runs until the partition is suspended or has to be fetched again."""
        while self._feed.is_open and not self._can_switch():
            if self.damage is not None:
                raise self.damage
            if not self.pending:
                await self._wait_for_runs()
            while self.pending and self._feed.is_open:
                await self._apply(self.pending.begin())
                self._feed.give_room()
                await self._checkpoint_when_due()
            await self._checkpoint_when_due()

    async def _wait_for_runs(self) -> None:
        interval = self._tools.settings.checkpoint_interval_seconds
        wait = interval - (time.monotonic() - self._checkpointed_at)
        try:
            await asyncio.wait_for(self._arrived.wait(), wait if wait > 0 else interval)
        except TimeoutError:
            return
        self._arrived.clear()

    async def _apply(self, run: RecordRun) -> None:
        """Decode a run, see its dead letters acknowledged, apply it.

        A run whose dead letters nobody takes is not applied when the partition is given up; its
        next owner replays it.

        Raises:
            GivenUpError: That happened.
        """
        center = self.open_center
        await self._tools.throttle.take(len(run.packed))
        batch, applied = await self.in_thread(decode_and_apply, self._tools.decoder, center, run)
        if not applied:
            with metrics.BATCH_SECONDS.labels("dead_letters").time():
                await self._unless_suspended(self._tools.dead_letters.write(batch.dead_letters))
            await self.in_thread(apply_batch, center, batch)
        self.pending.finish()
        self._note_progress()

    async def _unless_suspended(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something that may wait for the broker.

        Raises:
            GivenUpError: The partition was suspended before it was done.
        """
        doing = asyncio.ensure_future(work)
        suspending = asyncio.ensure_future(self._suspending.wait())
        try:
            await asyncio.wait({doing, suspending}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise GivenUpError
            return doing.result()
        finally:
            suspending.cancel()
            doing.cancel()

    async def checkpoint(self) -> None:
        """Make what is applied durable, and acknowledge it."""
        await self.in_thread(self.open_center.checkpoint)
        self._acknowledge()
        self._checkpointed_at = time.monotonic()

    def _acknowledge(self) -> None:
        """Count new checkpoints, a snapshot's too, and acknowledge what they made durable."""
        center = self.open_center
        for report in center.new_reports():
            now = time.monotonic()
            count_checkpoint(report, now - self._checkpointed_at)
            self._checkpointed_at = now
        count_durable(self.pending.durable(center.durable_watermark))

    async def _checkpoint_when_due(self) -> None:
        self._acknowledge()
        center = self.open_center
        since = time.monotonic() - self._checkpointed_at
        is_time = since >= self._tools.settings.checkpoint_interval_seconds
        if is_time and center.watermark > center.durable_watermark:
            await self.checkpoint()

    # --- small things ----------------------------------------------------------------------

    @property
    def lacks_memory(self) -> str | None:
        """Why no memories of the bundle are served: being built, or not to be had; None: they are.

        ``rebuilding_memory`` ends by itself, ``without_memory`` does not: the topic no longer holds
        the history.
        """
        if self._rebuild is None:
            return None
        return "without_memory" if self._rebuild.is_impossible else "rebuilding_memory"

    @property
    def open_center(self) -> PartitionCenter:
        """The center, which is open by now."""
        assert self.center is not None
        return self.center

    async def in_thread(self, function: Callable[..., T], *args: object) -> T:
        """Run a function in a worker thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._tools.threads, function, *args)

    async def look(self) -> None:
        """Learn what only a look tells: since when records wait unread, and the size on disk."""
        if self.center is not None:
            self.replay.tell(self.center.watermark)
            await self.lag.probe(self.center.watermark)
            self.state_bytes = await self.in_thread(self.files.size_bytes)

    def _note_progress(self) -> None:
        position = self.open_center.watermark
        self.lag.applied_to(position)
        if position >= self.replay.target and not self.ready and self._feed.is_open:
            self.ready = True
            self.replay.tell_done(position)
