"""Snapshots of partitions, at intervals or when asked; one that fails is counted, not fatal."""

import asyncio
import time

import structlog

from interest_center import metrics
from interest_center.api.directory import SavedSnapshot
from streams.partitions import OwnedPartition
from streams.worker_tools import WorkerTools

log = structlog.get_logger(__name__)


class SnapshotTimer:
    """Makes snapshots of owned partitions, one after another.

    Args:
        tools: Shared by all partitions.
    """

    def __init__(self, tools: WorkerTools) -> None:
        self._tools = tools
        self._due: dict[int, float] = {}

    async def save_due(self, owned: list[OwnedPartition]) -> None:
        """Save those whose interval has passed since they were first seen or last saved."""
        interval = self._tools.settings.snapshot_interval_seconds
        now = time.monotonic()
        for one in owned:
            # Spread over the interval, so that partitions do not upload all at once.
            spread = interval * (1 + one.number % 8 / 8)
            if now >= self._due.setdefault(one.number, now + spread):
                self._due[one.number] = now + interval
                await save_snapshot(self._tools, one)


async def save_snapshot(tools: WorkerTools, owned: OwnedPartition) -> SavedSnapshot:
    """Save one partition; a failure is logged, counted and told."""
    task = asyncio.ensure_future(_save(tools, owned))
    await asyncio.wait({task})
    error = None if task.cancelled() else task.exception()
    if error is not None:
        metrics.SNAPSHOT_FAILURES.inc()
        log.error("snapshot_failed", partition=owned.number, error=repr(error))
        return SavedSnapshot(owned.number, error=str(error) or type(error).__name__)
    return task.result()


async def _save(tools: WorkerTools, owned: OwnedPartition) -> SavedSnapshot:
    snapshots = tools.rules.snapshots(owned.identity)
    async with owned.copy_lock:
        center = owned.center
        if snapshots is None or center is None:
            return SavedSnapshot(owned.number, error="the partition is not open")
        started = time.perf_counter()
        now_ms = time.time_ns() // 1_000_000
        loop = asyncio.get_running_loop()
        report = await loop.run_in_executor(
            tools.snapshot_thread,
            lambda: snapshots.save(center.take_snapshot_copy, owned.files.path, now_ms),
        )
        durable = center.durable_watermark
    metrics.SNAPSHOT_TIMESTAMP_SECONDS.labels(str(owned.number)).set(now_ms / 1000)
    if report is None:
        return SavedSnapshot(owned.number, durable)
    metrics.SNAPSHOT_SECONDS.observe(time.perf_counter() - started)
    metrics.SNAPSHOT_BYTES.inc(report.uploaded_bytes)
    position = report.manifest.meta.watermark
    log.info(
        "snapshot_saved",
        partition=owned.number,
        position=position,
        uploaded_bytes=report.uploaded_bytes,
    )
    await loop.run_in_executor(tools.snapshot_thread, snapshots.prune, now_ms)
    return SavedSnapshot(owned.number, position, report.uploaded_bytes)
