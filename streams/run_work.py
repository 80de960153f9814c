"""The work on one run of records, and how it is counted."""

import time
from collections.abc import Sequence

from interest_center import metrics
from interest_center.center import CheckpointReport, PartitionCenter
from interest_center.core.event_decoder import EventDecoder
from interest_center.core.events import EventBatch
from streams.record_runs import RecordRun

_DECODE_SECONDS = metrics.BATCH_SECONDS.labels("decode")
_APPLY_SECONDS = metrics.BATCH_SECONDS.labels("apply")


def decode_and_apply(
    decoder: EventDecoder, center: PartitionCenter, run: RecordRun
) -> tuple[EventBatch, bool]:
    """Decode a run, apply it and write what is due, unless dead letters have to come first.

    Returns:
        The batch, and whether it is applied.
    """
    started = time.perf_counter()
    batch = decoder.decode(
        run.topic_partition.partition, run.packed, run.start_position, run.next_position
    )
    _DECODE_SECONDS.observe(time.perf_counter() - started)
    metrics.BATCH_RECORDS.observe(len(run.packed))
    if batch.dead_letters:
        return batch, False
    apply_batch(center, batch)
    return batch, True


def apply_batch(center: PartitionCenter, batch: EventBatch) -> None:
    """Apply a batch, count it, and write what is due; runs in a worker thread."""
    started = time.perf_counter()
    report = center.apply(batch)
    _APPLY_SECONDS.observe(time.perf_counter() - started)
    skipped = batch.next_position - batch.start_position - batch.n_records
    for result, count in (
        ("applied", report.applied),
        ("duplicate", report.duplicate),
        ("late_dropped", report.late_dropped),
        ("dead_lettered", report.dead_lettered),
        ("erased", report.erased),
        ("skipped", skipped),
    ):
        if count:
            metrics.EVENTS.labels(result).inc(count)
    center.write_due()


def count_checkpoint(report: CheckpointReport, since_last_seconds: float) -> None:
    """Count what a checkpoint wrote."""
    metrics.CHECKPOINT_SECONDS.observe(report.seconds)
    metrics.CHECKPOINT_INTERVAL_SECONDS.observe(since_last_seconds)
    metrics.CHECKPOINT_ROWS.inc(report.rows)
    metrics.CHECKPOINT_BYTES.inc(report.state_bytes)


def count_durable(append_times_ms: Sequence[int]) -> None:
    """Measure from append to durable."""
    now_ms = time.time_ns() // 1_000_000
    for time_ms in append_times_ms:
        metrics.EVENT_TO_STATE_SECONDS.observe(max(0, now_ms - time_ms) / 1000)
