"""What Prometheus and a query learn of one owned partition: position, lag, replay."""

import math
import time

from interest_center import metrics
from interest_center.core.errors import NotReadyError
from streams.partitions import OwnedPartition

#: A query is asked to come back after so long at most: a replay may become quicker.
LONGEST_WAIT_SECONDS = 30.0

_GAUGES = (
    metrics.LAG_RECORDS,
    metrics.LAG_SECONDS,
    metrics.STATE_AGE_SECONDS,
    metrics.POSITION,
    metrics.DURABLE_POSITION,
    metrics.END_OFFSET,
    metrics.PARTITION_READY,
    metrics.RECOVERY_PROGRESS_RATIO,
    metrics.RECOVERY_OFFSETS_PER_SECOND,
    metrics.RECOVERY_LEFT_SECONDS,
    metrics.STATE_BYTES,
    metrics.DIRTY_BYTES,
    metrics.SNAPSHOT_TIMESTAMP_SECONDS,
)


def refresh(owned: OwnedPartition) -> None:
    """Bring the gauges of a partition up to this moment."""
    center, label, now = owned.center, str(owned.number), time.time()
    metrics.PARTITION_READY.labels(label).set(owned.ready)
    metrics.RECOVERY_PROGRESS_RATIO.labels(label).set(progress_of(owned))
    if center is None:
        return
    left = seconds_left(owned)
    rate = 0.0 if owned.ready else owned.replay.rate(center.watermark)
    metrics.RECOVERY_OFFSETS_PER_SECOND.labels(label).set(rate)
    metrics.RECOVERY_LEFT_SECONDS.labels(label).set(math.nan if left is None else left)
    metrics.POSITION.labels(label).set(center.watermark)
    metrics.DURABLE_POSITION.labels(label).set(center.durable_watermark)
    metrics.END_OFFSET.labels(label).set(owned.lag.end)
    metrics.LAG_RECORDS.labels(label).set(owned.lag.offsets(center.watermark))
    metrics.LAG_SECONDS.labels(label).set(owned.lag.seconds(center.watermark, now))
    metrics.DIRTY_BYTES.labels(label).set(center.dirty_bytes())
    metrics.STATE_BYTES.labels(label).set(owned.state_bytes)
    if center.as_of_ms is not None:
        metrics.STATE_AGE_SECONDS.labels(label).set(now - center.as_of_ms / 1000)


def forget(partition: int) -> None:
    """Show nothing of a partition that is not this worker's any more."""
    for gauge in _GAUGES:
        gauge.remove(str(partition))


def progress_of(owned: OwnedPartition) -> float:
    """Return the share of the replay that is done."""
    if owned.ready:
        return 1.0
    return 0.0 if owned.center is None else owned.replay.share(owned.center.watermark)


def seconds_left(owned: OwnedPartition) -> float | None:
    """Return how long the replay takes still, None while nobody knows."""
    if owned.ready:
        return 0.0
    return None if owned.center is None else owned.replay.seconds_left(owned.center.watermark)


def replaying(owned: OwnedPartition) -> NotReadyError:
    """Return the error that says how far the replay is, and when to come back."""
    left = seconds_left(owned)
    text = f"partition {owned.number} replays, progress {progress_of(owned):.0%}"
    if left is None:
        return NotReadyError(text)
    wait = min(max(1.0, left), LONGEST_WAIT_SECONDS)
    return NotReadyError(f"{text}, about {left:.0f} s left", wait)
