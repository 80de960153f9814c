"""Every Prometheus metric of the project: prefix ``uic_``, base units, no user ids in labels.

Metrics are set once a batch, a request or a timer tick, never once an event. The worker and the
ranker are different processes and each shows its own registry only.
"""

import os
from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

#: Environment variable by which prometheus_client puts the values of a process into files, to be
#: shown together with those of its sisters; it is read once, when the library is imported.
SHARED_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

METRICS_CONTENT_TYPE = CONTENT_TYPE_LATEST

# The time of creation of every series is of no use to anyone here.
disable_created_metrics()  # type: ignore[no-untyped-call]

WORKER = CollectorRegistry()
RANKER = CollectorRegistry()
for _registry in (WORKER, RANKER):
    ProcessCollector(registry=_registry)
    PlatformCollector(registry=_registry)
    GCCollector(registry=_registry)

_QUICK = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_LATE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1, 0.2, 0.5, 1.0, 5.0)
_SLOW = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_SIZES = (1, 10, 50, 100, 250, 500, 1000, 2000, 4000)

# --- worker: the stream ------------------------------------------------------------------------

EVENTS = Counter(
    "uic_events",
    "Records by what became of them: applied, duplicate, late_dropped, dead_lettered, erased; "
    "skipped counts offsets without a record for us (transaction markers, aborted records)",
    ["result"],
    registry=WORKER,
)
DEAD_LETTERS = Counter(
    "uic_dead_letters", "Records sent to the dead-letter topic", ["reason"], registry=WORKER
)
LAG_RECORDS = Gauge(
    "uic_lag_records", "Offsets not yet applied to the state", ["partition"], registry=WORKER
)
LAG_SECONDS = Gauge(
    "uic_lag_seconds",
    "Age of the first record not yet applied, by its append time; 0 when there is none",
    ["partition"],
    registry=WORKER,
)
STATE_AGE_SECONDS = Gauge(
    "uic_state_age_seconds",
    "Now minus the newest event time in the state; grows while nobody does anything",
    ["partition"],
    registry=WORKER,
)
EVENT_TO_STATE_SECONDS = Histogram(
    "uic_event_to_state_seconds",
    "From the append of a record to the durable checkpoint that holds it",
    buckets=_SLOW,
    registry=WORKER,
)
BATCH_RECORDS = Histogram(
    "uic_batch_records", "Records in a batch from Kafka", buckets=_SIZES, registry=WORKER
)
BATCH_SECONDS = Histogram(
    "uic_batch_seconds",
    "Work on one batch by stage: decode, dead_letters, apply",
    ["stage"],
    buckets=_QUICK,
    registry=WORKER,
)
POSITION = Gauge(
    "uic_position", "Next offset to apply (the watermark)", ["partition"], registry=WORKER
)
DURABLE_POSITION = Gauge(
    "uic_durable_position", "Watermark of the last checkpoint", ["partition"], registry=WORKER
)
END_OFFSET = Gauge(
    "uic_end_offset", "Last stable offset of the partition", ["partition"], registry=WORKER
)
REBALANCES = Counter("uic_rebalances", "Changes of the assignment", registry=WORKER)
HEARTBEAT_AGE_SECONDS = Gauge(
    "uic_heartbeat_age_seconds", "Time since the last group heartbeat", registry=WORKER
)
LOOP_LATE_SECONDS = Histogram(
    "uic_loop_late_seconds",
    "How much later than asked the event loop woke a timer; every answer waits that long",
    buckets=_LATE,
    registry=WORKER,
)

# --- worker: durability ------------------------------------------------------------------------

CHECKPOINT_SECONDS = Histogram(
    "uic_checkpoint_seconds", "Time of one checkpoint", buckets=_QUICK, registry=WORKER
)
CHECKPOINT_INTERVAL_SECONDS = Histogram(
    "uic_checkpoint_interval_seconds",
    "Between two checkpoints of a partition that had changes",
    buckets=_SLOW,
    registry=WORKER,
)
CHECKPOINT_ROWS = Counter("uic_checkpoint_rows", "State records written", registry=WORKER)
CHECKPOINT_BYTES = Counter("uic_checkpoint_bytes", "Bytes of records written", registry=WORKER)
SNAPSHOT_SECONDS = Histogram(
    "uic_snapshot_seconds", "Time of one snapshot", buckets=_SLOW, registry=WORKER
)
SNAPSHOT_BYTES = Counter("uic_snapshot_bytes", "Bytes uploaded for snapshots", registry=WORKER)
SNAPSHOT_FAILURES = Counter("uic_snapshot_failures", "Snapshots that failed", registry=WORKER)
SNAPSHOT_TIMESTAMP_SECONDS = Gauge(
    "uic_snapshot_timestamp_seconds",
    "When the last snapshot was done",
    ["partition"],
    registry=WORKER,
)
PARTITION_READY = Gauge(
    "uic_partition_ready",
    "1 when this worker answers for the partition",
    ["partition"],
    registry=WORKER,
)
RECOVERY_PROGRESS_RATIO = Gauge(
    "uic_recovery_progress_ratio",
    "Share of the replay done since the partition was assigned; 1 when ready",
    ["partition"],
    registry=WORKER,
)
RECOVERY_OFFSETS_PER_SECOND = Gauge(
    "uic_recovery_offsets_per_second",
    "Rate of the replay since the partition was assigned; 0 when ready",
    ["partition"],
    registry=WORKER,
)
RECOVERY_LEFT_SECONDS = Gauge(
    "uic_recovery_left_seconds",
    "How long the replay takes still at its rate so far; 0 when ready, NaN while nobody knows",
    ["partition"],
    registry=WORKER,
)
STANDBY_LAG_RECORDS = Gauge(
    "uic_standby_lag_records",
    "Offsets that the owner has committed and the standby of the partition here has not applied; "
    "+Inf while it has no copy",
    ["partition"],
    registry=WORKER,
)
DAMAGED_COPIES = Counter(
    "uic_damaged_copies",
    "Copies that were found damaged and set aside; a snapshot or the topic took their place",
    registry=WORKER,
)
STATE_BYTES = Gauge("uic_state_bytes", "Size of the state on disk", ["partition"], registry=WORKER)
DIRTY_BYTES = Gauge(
    "uic_dirty_bytes", "Bytes of events not yet in a checkpoint", ["partition"], registry=WORKER
)
MODEL = Gauge(
    "uic_model_info",
    "1; what computes the memories of this worker",
    ["model", "memory_fingerprint"],
    registry=WORKER,
)

# --- worker: questions -------------------------------------------------------------------------

QUERY_SECONDS = Histogram(
    "uic_query_seconds",
    "Time of one state query by operation: interest, category, batch_get, multi_get",
    ["operation"],
    buckets=_QUICK,
    registry=WORKER,
)
QUERY_STAGE_SECONDS = Histogram(
    "uic_query_stage_seconds",
    "Time of state queries by stage: read (with the wait for the partition's lock), forward",
    ["stage"],
    buckets=_QUICK,
    registry=WORKER,
)
QUERIES = Counter(
    "uic_queries",
    "State queries by operation and result: ok, bad_request, not_ready, failed",
    ["operation", "result"],
    registry=WORKER,
)
FORWARDS = Counter(
    "uic_forwards",
    "Queries passed on to the owner, by result: ok, failed",
    ["result"],
    registry=WORKER,
)

# --- ranker ------------------------------------------------------------------------------------

RANK_SECONDS = Histogram(
    "uic_rank_seconds",
    "Time of one ranking by stage: parse, state, queue (wait for the scoring thread), score (of "
    "all that were scored together), order, explain, total",
    ["stage"],
    buckets=_QUICK,
    registry=RANKER,
)
RANK_REQUESTS = Counter(
    "uic_rank_requests",
    "Rankings by result: ok, degraded, bad_request, rejected (too many at once), failed",
    ["result"],
    registry=RANKER,
)
RANK_FALLBACKS = Counter(
    "uic_rank_fallbacks",
    "Rankings answered without a part of the state, by reason (the value of `degraded`)",
    ["reason"],
    registry=RANKER,
)
RANK_CANDIDATES = Histogram(
    "uic_rank_candidates", "Candidates of one ranking", buckets=_SIZES, registry=RANKER
)
RANK_TOGETHER = Histogram(
    "uic_rank_together",
    "Rankings that the scoring thread took up together; more than one where they had to wait",
    buckets=(1, 2, 3, 4),
    registry=RANKER,
)
RANK_STATE_AGE_SECONDS = Histogram(
    "uic_rank_state_age_seconds",
    "Age by event time of the states that rankings were made from",
    buckets=_SLOW,
    registry=RANKER,
)
RANK_EXPOSURES = Counter(
    "uic_rank_exposures",
    "Records of what was shown, by result: sent, lost",
    ["result"],
    registry=RANKER,
)
RANK_HEDGED_READS = Counter(
    "uic_rank_hedged_reads",
    "Reads of a state that were late and asked for once more, by which answer came: first, second",
    ["result"],
    registry=RANKER,
)
RANK_KAFKA = Counter(
    "uic_rank_kafka",
    "Requests of the topic by result: answered, dead_lettered; each in a committed transaction",
    ["result"],
    registry=RANKER,
)
RANK_CATALOG_ITEMS = Gauge(
    "uic_rank_catalog_items", "Items of the catalog in use",
    multiprocess_mode="livemax", registry=RANKER,
)  # fmt: skip
RANK_CATALOG_RELOADS = Counter(
    "uic_rank_catalog_reloads",
    "Catalogs by result: used, refused (a file that cannot be read; the one before stays in use)",
    ["result"],
    registry=RANKER,
)
RANK_CATALOG_RECORDS = Counter(
    "uic_rank_catalog_records",
    "Records of the catalog's topic by result: read, refused (they change nothing)",
    ["result"],
    registry=RANKER,
)
RANK_MODEL = Gauge(
    "uic_rank_model_info",
    "1; the bundle that scores",
    ["model", "fingerprint", "memory_fingerprint"],
    multiprocess_mode="livemax",
    registry=RANKER,
)


def render(registry: CollectorRegistry) -> bytes:
    """Return the metrics of one process in the text format that Prometheus scrapes.

    Of one of several processes behind a port: the sums of all, without those of the process itself
    (memory, descriptors), which nobody could tell apart.
    """
    if SHARED_DIRECTORY in os.environ:
        return generate_latest(_Together(registry))
    return generate_latest(registry)


class _Together(CollectorRegistry):
    """The metrics of a registry, as all processes together have counted them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._own = registry

    def collect(self) -> Iterator[Metric]:
        """Yield the families of the registry; the files hold those of others too."""
        own = {family.name for family in self._own.collect()}
        everything = MultiProcessCollector(None).collect()  # type: ignore[no-untyped-call]
        yield from (family for family in everything if family.name in own)
