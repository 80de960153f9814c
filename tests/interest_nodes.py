"""Interest workers without Kafka: the real HTTP of a worker over real centers with memory stores.

What they lack is the log: ``push`` decodes and applies at once. Several nodes share the centers of
a ``Cluster`` and its owners, which a test may move.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from packed import packed

from interest_center.api.app import create_api
from interest_center.api.directory import PartitionStatus, SavedSnapshot
from interest_center.center import PartitionCenter
from interest_center.core.errors import BadRequestError, NotReadyError
from interest_center.core.event_decoder import EventDecoder
from interest_center.core.events import EventRules
from interest_center.core.ids import partition_of
from interest_center.core.layout import StateConfig
from interest_center.core.meta import LogIdentity
from interest_center.core.protocols import MemoryUpdater
from interest_center.query import InterestViews
from interest_center.stores.memory import MemoryStore

N_PARTITIONS = 4


@dataclass(frozen=True)
class Sent:
    """A record of the events topic."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Cluster:
    """Centers of all partitions, and which node owns each.

    Args:
        updater: Memory that the workers keep, None for none.
    """

    def __init__(self, updater: MemoryUpdater | None) -> None:
        self.views = InterestViews(StateConfig(), updater)
        self.centers = [
            PartitionCenter(
                MemoryStore(),
                StateConfig(),
                updater,
                LogIdentity("cluster", "events", "id", N_PARTITIONS, p),
            )
            for p in range(N_PARTITIONS)
        ]
        self.owners: list[str | None] = [None] * N_PARTITIONS
        self._decoder = EventDecoder(EventRules("events", N_PARTITIONS))
        self._n_pushed = 0

    def push(self, events: list[dict[str, Any]]) -> None:
        """Apply events as if they had come through the topic; each gets an event id."""
        for event in events:
            key = event["user_id"].encode()
            center = self.centers[partition_of(key, N_PARTITIONS)]
            value = json.dumps({"event_id": f"e{self._n_pushed}"} | event).encode()
            self._n_pushed += 1
            at = center.watermark
            record = Sent(at, event["event_time_ms"], key, value)
            number = partition_of(key, N_PARTITIONS)
            batch = self._decoder.decode(number, packed([record]), at, at + 1)
            assert not batch.dead_letters, batch.dead_letters
            center.apply(batch)


@dataclass
class Node:
    """One worker's view of the cluster (``PartitionDirectory``)."""

    cluster: Cluster
    url: str
    is_ready: bool = True
    questions: list[str] = field(default_factory=list)
    n_partitions: int = N_PARTITIONS
    answer_seconds: float = 10.0
    has_joined: bool = True

    @property
    def views(self) -> InterestViews:
        """Show states by the cluster's rules."""
        return self.cluster.views

    def is_mine(self, partition: int) -> bool:
        """Tell whether this node owns the partition."""
        return self.cluster.owners[partition] == self.url

    def owner_url(self, partition: int) -> str | None:
        """Return the owner."""
        return self.cluster.owners[partition]

    def center(self, partition: int) -> PartitionCenter:
        """Return the center of an own partition."""
        if not self.is_mine(partition) or not self.is_ready:
            raise NotReadyError(f"partition {partition} is not ready")
        return self.cluster.centers[partition]

    def statuses(self) -> list[PartitionStatus]:
        """Describe the partitions, and note that somebody asked."""
        self.questions.append("partitions")
        return [
            PartitionStatus(partition, url, mine=url == self.url, ready=self.is_ready)
            for partition, url in enumerate(self.cluster.owners)
        ]

    async def save_snapshots(self) -> list[SavedSnapshot]:
        """Refuse: the stores are in memory."""
        raise BadRequestError("snapshots are switched off at this worker", "snapshots")

    def refresh_metrics(self) -> None:
        """Do nothing: there is no lag to show."""


class Server(uvicorn.Server):
    """A server inside a test's event loop, which leaves signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@contextlib.asynccontextmanager
async def serving(asgi_app: Any, listener: socket.socket | None = None) -> AsyncIterator[str]:
    """Serve an application on a free port; gives its URL."""
    bound = listener or socket.create_server(("127.0.0.1", 0))
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(asgi_app, loop="none", lifespan="on", log_config=None)
    config.timeout_graceful_shutdown = 1
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[bound]))
    while not server.started:
        assert not task.done()
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        bound.close()


@contextlib.asynccontextmanager
async def worker_node(
    cluster: Cluster, owns: set[int], listener: socket.socket | None = None
) -> AsyncIterator[Node]:
    """Run one worker that owns some partitions."""
    bound = listener or socket.create_server(("127.0.0.1", 0))
    node = Node(cluster, f"http://127.0.0.1:{bound.getsockname()[1]}")
    for partition in owns:
        cluster.owners[partition] = node.url
    async with serving(create_api(node), bound):
        yield node
