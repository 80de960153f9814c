"""The capacity formula: from users and events to workers, memory, disk, snapshots and Kafka.

It is derived in ``docs/engine.md``. One partition has ``n`` users, all alike, which is the worst
case. A round of writing rows lasts for ``m`` events, which touch ``d(m) = n (1 - exp(-m / n))``
users, until ``m + USER_COST d(m)`` is half of what a replay may cost. From ``d(m) / m`` follow the
bytes of an event, from these its CPU time, from that the workers.
"""

import math
from dataclasses import dataclass

from interest_center.answers import CenterOptions
from interest_center.core.journal_records import EVENT_BYTES
from interest_center.journal import PIECE_COST
from interest_center.stores.rocksdb import ALL_WRITE_BUFFERS_BYTES, BLOCK_CACHE_BYTES
from interest_center.write_back import USER_COST
from streams.planning.user_weight import UserWeight

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
DAY_SECONDS = 86_400.0
#: Snapshots of earlier days that pruning keeps, one a day.
EARLIER_DAYS = 7
#: Partitions follow from workers, and workers from partitions: so often round.
ROUNDS = 5


@dataclass(frozen=True)
class Assumptions:
    """What is not computed.

    The two CPU figures are a line through two runs of ``uic bench engine`` on two cores: 100,000
    users (89,858 events/s, 18.4 us of CPU) and 1,000,000 (43,001 events/s, 3.0 KiB to the disk,
    both cores busy). What lies far beyond is extrapolated.

    Attributes:
        utilisation: Of cores, disk and network in the steady state; the rest is for bursts,
            replays and the workers that are away.
        worker_cores: Cores that one worker uses.
        event_cpu_us: CPU time of an event, without what its bytes cost.
        kib_cpu_us: CPU time of each KiB that an event writes to the disk, compaction included.
        worker_base_bytes: Memory of a worker without hot rows.
        worker_disk_bytes: Disk of a worker.
        disk_bytes_per_second: That it can write.
        network_bytes_per_second: Of a worker.
        partition_bytes: Largest copy of a partition, so that a restore takes minutes.
        partitions_per_worker: At least, so that workers can be added: their number is for good.
        partition_events_per_second: Of one partition: one thread scans it.
        space_ratio: Bytes on the disk over bytes of records: old versions, half-done compactions.
        first_level_bytes: A copy up to this size is compacted once.
        level_rewrites: How often a record is written again for each factor of ten above that.
    """

    utilisation: float = 0.5
    worker_cores: float = 2.0
    event_cpu_us: float = 12.0
    kib_cpu_us: float = 11.0
    worker_base_bytes: float = 700 * MIB
    worker_disk_bytes: float = 1_000 * GIB
    disk_bytes_per_second: float = 1_000 * MIB
    network_bytes_per_second: float = 10e9 / 8
    partition_bytes: float = 32 * GIB
    partitions_per_worker: int = 4
    partition_events_per_second: float = 40_000.0
    space_ratio: float = 1.3
    first_level_bytes: float = 256 * MIB
    level_rewrites: float = 5.0


@dataclass(frozen=True)
class Demand:
    """What is asked for.

    Attributes:
        users: That have a state.
        events_per_second: Of all users, at the busiest hour.
        event_bytes: Of one event in Kafka, its key included.
        replication: Of the topic.
        retention_days: Of the topic.
        standbys: Warm copies of each partition.
        snapshot_interval_seconds: Between two snapshots of a partition.
        hot_memory_bytes: For the hot rows of one partition.
    """

    users: float
    events_per_second: float
    event_bytes: float
    replication: int
    retention_days: float
    standbys: int
    snapshot_interval_seconds: float
    hot_memory_bytes: float


@dataclass(frozen=True)
class EventCost:
    """What one event costs a worker.

    Attributes:
        users_written: Users whose rows are written, for each event.
        record_bytes: Bytes of records in checkpoints.
        disk_bytes: Bytes that go to the disk: log, flush and compactions.
        cpu_us: CPU time.
    """

    users_written: float
    record_bytes: float
    disk_bytes: float
    cpu_us: float


@dataclass(frozen=True)
class WorkerNeeds:
    """What one worker needs in the steady state.

    Attributes:
        memory_bytes: At most.
        disk_bytes: Of its copies.
        disk_write_bytes_per_second: Log, flush and compactions.
        network_bytes_per_second: Events in, snapshots out.
    """

    memory_bytes: float
    disk_bytes: float
    disk_write_bytes_per_second: float
    network_bytes_per_second: float


@dataclass(frozen=True)
class SnapshotNeeds:
    """What snapshots of all partitions need.

    Attributes:
        full_bytes: Of a first one.
        upload_bytes: Of each later one, at most: what changed in between.
        upload_bytes_per_second: The same, spread over the interval.
        kept_bytes: At the target, at most: a day's snapshots and one of each of seven days.
    """

    full_bytes: float
    upload_bytes: float
    upload_bytes_per_second: float
    kept_bytes: float


@dataclass(frozen=True)
class KafkaNeeds:
    """What the events topic needs.

    Attributes:
        in_bytes_per_second: Into all brokers, with the replicas.
        out_bytes_per_second: To the workers.
        kept_bytes: On the disks of all brokers.
    """

    in_bytes_per_second: float
    out_bytes_per_second: float
    kept_bytes: float


@dataclass(frozen=True)
class Plan:
    """What a demand needs.

    Attributes:
        workers: Processes.
        bound_by: What their number follows from: CPU, disk writes or disk space.
        partitions: Of the events topic.
        state_bytes: Of all users on the disk, once.
        event: What one event costs.
        worker: What each worker needs.
        snapshots: What they need.
        kafka: What it needs.
        recovery_seconds: Of a worker that lost its disk, from a snapshot to level.
    """

    workers: int
    bound_by: str
    partitions: int
    state_bytes: float
    event: EventCost
    worker: WorkerNeeds
    snapshots: SnapshotNeeds
    kafka: KafkaNeeds
    recovery_seconds: float


def events_of_round(users: float, events_per_second: float) -> float:
    """Return how many events a partition applies in one round of writing rows."""
    budget = CenterOptions().replay_cost / 2
    # One checkpoint a second.
    event = 1 + PIECE_COST / events_per_second

    def cost(m: float) -> float:
        return event * m + USER_COST * users_touched(users, m)

    low, high = 1.0, budget
    while high - low > 1.0:
        middle = (low + high) / 2
        low, high = (middle, high) if cost(middle) < budget else (low, middle)
    return high


def users_touched(users: float, events: float) -> float:
    """Return how many different users some events meet, all users alike."""
    return users * -math.expm1(-events / users)


def event_cost(
    weight: UserWeight,
    partition_users: float,
    partition_rate: float,
    assumed: Assumptions,
) -> EventCost:
    """Return what an event costs in a partition of so many users and events a second."""
    m = events_of_round(partition_users, partition_rate)
    written = users_touched(partition_users, m) / m
    # Of the sub-sequences, only those that the user's events of the round have changed.
    kept = max(weight.n_subsequences, 1.0)
    changed = kept * -math.expm1(-1 / written / kept)
    rows = written * (weight.profile + weight.memory + changed * weight.subsequences / kept)
    size = partition_users * weight.on_disk * assumed.space_ratio
    levels = max(0.0, math.log10(size / assumed.first_level_bytes))
    # The log; then, compressed, the flush, the first compaction, and those below; the journal is
    # gone before them.
    compressed = rows * weight.on_disk / weight.total
    disk = 2 * EVENT_BYTES + rows + compressed * (2 + assumed.level_rewrites * levels)
    cpu = assumed.event_cpu_us + assumed.kib_cpu_us * disk / KIB
    return EventCost(written, EVENT_BYTES + rows, disk, cpu)


def plan(demand: Demand, weight: UserWeight, assumed: Assumptions) -> Plan:
    """Return what a demand needs.

    Args:
        demand: Users and events.
        weight: What a user's records weigh.
        assumed: The rest.
    """
    rate, copies, usable = demand.events_per_second, 1 + demand.standbys, assumed.utilisation
    state = demand.users * weight.on_disk * assumed.space_ratio
    partitions = least = max(
        math.ceil(state / assumed.partition_bytes),
        math.ceil(rate / (assumed.partition_events_per_second * usable)),
    )
    for _ in range(ROUNDS):  # The smaller a partition, the less an event costs.
        cost = event_cost(weight, demand.users / partitions, rate / partitions, assumed)
        written = rate * copies * cost.disk_bytes
        needs = {
            "CPU": rate * copies * cost.cpu_us / 1e6 / (assumed.worker_cores * usable),
            "disk writes": written / (assumed.disk_bytes_per_second * usable),
            "disk space": state * copies / assumed.worker_disk_bytes,
        }
        bound_by = max(needs, key=lambda name: needs[name])
        workers = max(copies, math.ceil(needs[bound_by]))
        each = max(assumed.partitions_per_worker, math.ceil(least / workers))
        partitions = workers * each
    snapshots = _snapshots(demand, state, cost)
    incoming = rate * demand.event_bytes
    rows = min(demand.hot_memory_bytes, demand.users / partitions * weight.in_memory)
    shared = BLOCK_CACHE_BYTES + ALL_WRITE_BUFFERS_BYTES
    return Plan(
        workers=workers,
        bound_by=bound_by,
        partitions=partitions,
        state_bytes=state,
        event=cost,
        worker=WorkerNeeds(
            memory_bytes=assumed.worker_base_bytes + shared + each * copies * rows,
            disk_bytes=state * copies / workers,
            disk_write_bytes_per_second=written / workers,
            network_bytes_per_second=(incoming * copies + snapshots.upload_bytes_per_second)
            / workers,
        ),
        snapshots=snapshots,
        kafka=KafkaNeeds(
            in_bytes_per_second=incoming * demand.replication,
            out_bytes_per_second=incoming * copies,
            kept_bytes=incoming * demand.replication * demand.retention_days * DAY_SECONDS,
        ),
        recovery_seconds=_recovery_seconds(demand, state / workers, rate / workers, cost, assumed),
    )


def _snapshots(demand: Demand, state: float, cost: EventCost) -> SnapshotNeeds:
    interval = demand.snapshot_interval_seconds
    upload = min(state, demand.events_per_second * cost.disk_bytes * interval)
    return SnapshotNeeds(
        full_bytes=state,
        upload_bytes=upload,
        upload_bytes_per_second=upload / interval,
        kept_bytes=(1 + EARLIER_DAYS) * state + DAY_SECONDS / interval * upload,
    )


def _recovery_seconds(
    demand: Demand, state: float, rate: float, cost: EventCost, assumed: Assumptions
) -> float:
    """Return how long a worker takes to fetch its share and replay what came since."""
    fetch = state / (assumed.network_bytes_per_second * assumed.utilisation)
    full_speed = 1e6 * assumed.worker_cores / cost.cpu_us
    behind = rate * (demand.snapshot_interval_seconds + fetch)
    return fetch + behind / max(full_speed - rate, 1.0)
