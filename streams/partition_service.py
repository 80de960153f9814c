"""Timers around the partitions: where the log ends, which log it is, snapshots; and the end."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import mode
import structlog
from aiokafka.errors import KafkaError

from interest_center import metrics
from interest_center.core.errors import InterestCenterError
from streams.assignment import Assignment
from streams.snapshot_timer import SnapshotTimer, save_snapshot

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
LOOP_SECONDS = 0.02
IDENTITY_SECONDS = 5.0
CLOSE_SECONDS = 60.0


class PartitionService(mode.Service):
    """Watches the partitions while the worker runs, and gives them a good end.

    Args:
        assigned: Returns the partitions; asked at the start.
        fail: Told of an error that must stop the worker.
    """

    def __init__(
        self,
        assigned: Callable[[], Assignment],
        fail: Callable[[BaseException], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._assigned = assigned
        self._fail = fail
        self._snapshots: SnapshotTimer | None = None

    async def on_start(self) -> None:
        """Prepare the timers."""
        self._snapshots = SnapshotTimer(self._assigned().tools)

    async def on_stop(self) -> None:
        """Save snapshots and release the copies; the group has been left by now."""
        if self._snapshots is None:
            return  # The start failed before there were partitions.
        assigned = self._assigned()
        if not self.crashed:
            for owned in list(assigned.owned.values()):
                await save_snapshot(assigned.tools, owned)
        await asyncio.wait_for(assigned.close(), CLOSE_SECONDS)
        await assigned.tools.stop()

    @mode.Service.task
    async def _watch_the_loop(self) -> None:
        while not self.should_stop:
            due = time.perf_counter() + LOOP_SECONDS
            await asyncio.sleep(LOOP_SECONDS)
            metrics.LOOP_LATE_SECONDS.observe(max(0.0, time.perf_counter() - due))

    @mode.Service.task
    async def _look(self) -> None:
        while not self.should_stop:
            try:
                await self._assigned().look_at_the_log()
            except KafkaError as error:
                log.warning("log_end_unknown", error=repr(error))
            await self.sleep(LOOK_SECONDS)

    @mode.Service.task
    async def _check_identity(self) -> None:
        while not self.should_stop:
            await self.sleep(IDENTITY_SECONDS)
            try:
                await self._assigned().check_identity()
            except InterestCenterError as error:
                log.warning("log_identity_unknown", error=str(error))

    @mode.Service.task
    async def _save_snapshots(self) -> None:
        while not self.should_stop:
            await self.sleep(LOOK_SECONDS)
            if self._snapshots is not None:
                await self._snapshots.save_due(list(self._assigned().owned.values()))
