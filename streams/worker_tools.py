"""What the partitions of a worker share."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from interest_center.center import CenterOptions
from interest_center.core.errors import ConfigurationError
from interest_center.core.event_decoder import EventDecoder
from interest_center.core.events import EventRules
from interest_center.core.layout import StateConfig, load_state_config
from interest_center.core.protocols import MemoryUpdater
from interest_center.hot_rows import user_bytes
from interest_center.settings import Settings
from interest_center.stores.snapshot_target import SnapshotTarget
from models.bundle import load_state_rules, load_updater
from streams.copies import StateRules
from streams.dead_letters import DeadLetterWriter
from streams.log_identity import LogReader
from streams.throttle import Throttle
from streams.transport import BatchConsumer
from streams.warm_up import WarmUp

#: More than there are cores would only wait for each other, and readers for all of them.
PARTITION_THREADS = max(2, min(4, len(os.sched_getaffinity(0))))
FEWEST_HOT_USERS = 100


@dataclass
class WorkerTools:
    """What all partitions of a worker share.

    Attributes:
        settings: Of the process.
        rules: What makes a copy usable.
        decoder: Records to events.
        reader: Looks single records up.
        dead_letters: Where bad records go.
        throttle: Bound on the rate.
        warm_up: Compiles what the first events need.
        threads: For work that releases the GIL or blocks.
        snapshot_thread: One snapshot at a time.
    """

    settings: Settings
    rules: StateRules
    decoder: EventDecoder
    reader: LogReader
    dead_letters: DeadLetterWriter
    throttle: Throttle
    warm_up: WarmUp
    threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(PARTITION_THREADS, "partition")
    )
    snapshot_thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, "snapshot")
    )
    _consumer: Callable[[], BatchConsumer] | None = None

    def bind_consumer(self, consumer: Callable[[], BatchConsumer]) -> None:
        """Say where runs come from; Faust makes its consumer late."""
        self._consumer = consumer

    @property
    def consumer(self) -> BatchConsumer:
        """Where runs come from."""
        assert self._consumer is not None
        return self._consumer()

    def begin_warm_up(self) -> None:
        """Warm up while the group is joined; an error is met by the partition that waits for it."""
        self.threads.submit(self.warm_up.wait)

    async def stop(self) -> None:
        """Close connections and threads."""
        await self.reader.stop()
        await self.dead_letters.stop()
        self.threads.shutdown(wait=False)
        self.snapshot_thread.shutdown(wait=False)


def state_rules(settings: Settings) -> StateConfig:
    """Return the rules of the states: as configured, else the bundle's own, else the defaults.

    Raises:
        ConfigurationError: The configuration cannot be used, or the bundle was trained under other
            rules: its ranker would refuse every state.
        BundleError: The bundle cannot be used.
    """
    if settings.bundle is None:
        return load_state_config(settings.state_config)
    trained = load_state_rules(settings.bundle)
    if settings.state_config is None:
        return trained
    config = load_state_config(settings.state_config)
    if config.fingerprint != trained.fingerprint:
        raise ConfigurationError(
            f"the bundle {settings.bundle} was trained under other state rules than "
            f"{settings.state_config}",
            hint="unset UIC_STATE_CONFIG to take the bundle's rules, or train with "
            "`uic train --state-config` on these",
        )
    return config


def _options(hot_bytes: int, config: StateConfig, updater: MemoryUpdater | None) -> CenterOptions:
    """Return the sizes of a partition that has so much memory for its hot rows."""
    sizes = CenterOptions(timer=time.perf_counter)
    floats = 0 if updater is None else updater.row_floats
    each = user_bytes(config, floats, sizes.subsequences_per_user)
    return replace(sizes, hot_users=max(FEWEST_HOT_USERS, hot_bytes // each))


def make_tools(
    settings: Settings, n_partitions: int, updater: MemoryUpdater | None = None
) -> WorkerTools:
    """Load the rules and the model, and prepare the connections.

    Args:
        settings: Of the process.
        n_partitions: Of the events topic.
        updater: Keeps the memories instead of the bundle's model.

    Raises:
        ConfigurationError: The state configuration or the snapshot URL cannot be used.
        BundleError: The bundle cannot be used.
    """
    config = state_rules(settings)
    if updater is None and settings.bundle is not None:
        updater = load_updater(settings.bundle)
    rules = StateRules(
        config=config,
        updater=updater,
        options=_options(settings.hot_memory_mib << 20, config, updater),
        snapshots_url=settings.snapshots,
    )
    if settings.snapshots is not None:
        SnapshotTarget(settings.snapshots)
    decoder = EventDecoder(EventRules(settings.events_topic, n_partitions, config.event_types))
    return WorkerTools(
        settings,
        rules,
        decoder,
        LogReader(settings),
        DeadLetterWriter(settings),
        Throttle(settings.max_events_per_second),
        WarmUp(rules, decoder),
    )
