"""The Faust application of the interest worker: group, assignment, one agent, HTTP."""

import asyncio
import socket
import sys
import time
from collections.abc import Iterable
from typing import Any, cast

import faust
import mode
import structlog
from faust.app.base import BootStrategy
from faust.assignor.partition_assignor import PartitionAssignor
from faust.types import TP

from interest_center import metrics
from interest_center.api.app import create_api
from interest_center.core.errors import InterestCenterError
from interest_center.core.protocols import MemoryUpdater
from interest_center.settings import Settings
from streams.assignment import Assignment, log_identities
from streams.http_service import HttpService, bind
from streams.partition_service import PartitionService
from streams.pending_runs import ReceivedRun
from streams.state_lock import StateLock
from streams.topics import check_topics
from streams.transport import BatchConsumer, BatchTransport
from streams.worker_tools import WorkerTools, make_tools

log = structlog.get_logger(__name__)

AGENT = "uic-apply-events"
#: Runs, not events: one partition has two at most on their way.
STREAM_BUFFER_RUNS = 65_536
REBALANCE_SECONDS = 30.0
#: How long a thread that computes may keep the interpreter from the event loop and from readers.
SWITCH_SECONDS = 0.0005


class RunSchema(faust.Schema[None, Any]):
    """Passes runs of records on as they are."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> None:
        """Return None: runs have no key."""

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        """Return the run."""
        return message.value


class InterestBoot(BootStrategy):
    """Starts partitions and HTTP before the consumer joins the group, and stops them after it."""

    enable_kafka_producer = False  # dead letters have a producer of their own

    def web_server(self) -> Iterable[mode.Service]:
        """Return our services instead of Faust's web server, ``--with-web`` or not."""
        app = cast(InterestApp, self.app)
        return [
            PartitionService(app.assigned, app.fail, loop=app.loop, beacon=app.beacon),
            HttpService(app.http_api, app.http_socket, loop=app.loop, beacon=app.beacon),
        ]


class InterestApp(faust.App):
    """An interest worker.

    Args:
        settings: Of the process.
        updater: Keeps the memories instead of the bundle's model.
    """

    BootStrategy = InterestBoot

    def __init__(self, settings: Settings, updater: MemoryUpdater | None = None) -> None:
        self.center_settings = settings
        self._updater = updater
        self.fatal_error: BaseException | None = None
        self._assigned: Assignment | None = None
        self._socket: socket.socket | None = None
        self._lock: StateLock | None = None
        super().__init__(
            settings.group,
            broker=[f"kafka://{server}" for server in settings.bootstrap_servers.split(",")],
            store="memory://",
            canonical_url=settings.advertised_url,
            autodiscover=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            reply_create_topic=False,
            stream_buffer_maxsize=STREAM_BUFFER_RUNS,
            stream_wait_empty=True,
            stream_recovery_delay=0.0,
            table_standby_replicas=settings.standby_replicas,
            broker_commit_interval=1.0,
            broker_session_timeout=settings.session_timeout_seconds,
            broker_rebalance_timeout=REBALANCE_SECONDS,
            worker_redirect_stdouts=False,
            agent_supervisor=mode.CrashingSupervisor,
        )

    # --- composition -----------------------------------------------------------------------

    async def on_first_start(self) -> None:
        """Put everything together that needs the broker, the port and the disk.

        Raises:
            InterestCenterError: Something that the operator has to mend.
        """
        try:
            await self._compose()
        except InterestCenterError as error:
            self._note(error)
            raise

    def _note(self, error: BaseException) -> None:
        """Remember why the worker stops, and say so; the first reason counts."""
        if self.fatal_error is None:
            self.fatal_error = error
            hint = getattr(error, "hint", "")
            log.error("worker_stops", reason=str(getattr(error, "message", error)), next=hint)

    async def _compose(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        settings = self.center_settings
        any_port = settings.worker_port == 0
        self._socket = bind(settings.worker_host, settings.worker_port)
        port = self._socket.getsockname()[1]
        settings = self.center_settings = settings.model_copy(update={"worker_port": port})
        if any_port:
            self.conf.canonical_url = settings.advertised_url  # type: ignore[assignment]
        self._lock = StateLock(settings.states)
        await asyncio.to_thread(check_topics, settings)
        identities = await asyncio.to_thread(log_identities, settings)
        tools = await asyncio.to_thread(make_tools, settings, len(identities), self._updater)
        tools.bind_consumer(self.batch_consumer)
        self._assigned = Assignment(tools, self, identities, self.fail)
        show_model(tools)
        log.info(
            "worker_starts",
            url=settings.advertised_url,
            topic=settings.events_topic,
            partitions=len(identities),
            states=str(settings.states),
            group=settings.group,
        )
        tools.begin_warm_up()

    def assigned(self) -> Assignment:
        """Return the partitions of this worker."""
        assert self._assigned is not None
        return self._assigned

    def http_api(self) -> Any:
        """Return the ASGI application."""
        return create_api(self.assigned())

    def http_socket(self) -> socket.socket:
        """Return the bound socket."""
        assert self._socket is not None
        return self._socket

    def batch_consumer(self) -> BatchConsumer:
        """Return Faust's consumer, which is ours."""
        consumer = self.consumer
        assert isinstance(consumer, BatchConsumer)
        return consumer

    def fail(self, error: BaseException) -> None:
        """Stop the worker because of an error; the first one is the reason."""
        if self.fatal_error is None:
            self._note(error)
            self._failing = asyncio.ensure_future(self.crash(error))

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)

    # --- what the group says ---------------------------------------------------------------

    @property
    def heartbeat_age_seconds(self) -> float:
        """Time since the broker last confirmed that this worker is a member."""
        return time.monotonic() - self.batch_consumer().thread.last_heartbeat

    def owner_urls(self) -> dict[int, str]:
        """Return the URL of the owner by partition, as of the last assignment."""
        topic = self.center_settings.events_topic
        assignor = cast(PartitionAssignor, self.assignor)
        return {
            partition: url
            for url, topics in assignor.external_topic_distribution.items()
            for partition in topics.get(topic, ())
        }

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        await self.assigned().on_revoked()
        await super()._on_partitions_revoked(revoked)

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        await super()._on_partitions_assigned(assigned, generation_id)
        if not self.should_stop:
            assignor = cast(PartitionAssignor, self.assignor)
            await self.assigned().on_assigned(
                (tp.partition for tp in assigned),
                (tp.partition for tp in assignor.assigned_standbys()),
            )

    async def on_stop(self) -> None:
        """Checkpoint first, while still a member; snapshots come after leaving the group."""
        if self._assigned is not None:
            await self._assigned.on_revoked()
        await super().on_stop()


def show_model(tools: WorkerTools) -> None:
    """Tell Prometheus and the log which memory this worker keeps."""
    updater = tools.rules.updater
    if updater is not None:
        fingerprint = f"{updater.fingerprint:016x}"
        metrics.MODEL.labels(updater.name, fingerprint).set(1)
        log.info("memory_model", model=updater.name, fingerprint=fingerprint)


def build_app(settings: Settings, updater: MemoryUpdater | None = None) -> InterestApp:
    """Build a worker with its agent; for its arguments see ``InterestApp``."""
    app = InterestApp(settings, updater)
    events = app.topic(settings.events_topic, schema=RunSchema())

    @app.agent(events, name=AGENT)
    async def apply_events(stream: Any) -> None:
        """Hand each run to its partition; it is acknowledged by the checkpoint that holds it."""
        async for event in stream.noack().events():
            app.assigned().offer(ReceivedRun(event.value, event))

    return app
