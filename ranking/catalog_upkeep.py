"""Keeps the catalog in use the newest: a file that is watched, or a compacted topic."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from interest_center import metrics
from interest_center.core.errors import BadRequestError, ConfigurationError, InterestCenterError
from interest_center.settings import Settings
from models.catalog import Catalog
from ranking.catalog import CatalogItem, empty_catalog, merged, read_catalog, read_record
from ranking.kafka_errors import no_kafka, no_topic

log = structlog.get_logger(__name__)

#: Between two looks at a file.
LOOK_SECONDS = 5.0
#: Records are gathered for so long before they are used together.
GATHER_SECONDS = 1.0
POLL_MS = 500
RETRY_SECONDS = 1.0
#: Records that are merged at once, so that few are held beside the catalog.
MOST_CHANGES = 100_000


class CatalogSource(Protocol):
    """Where a catalog comes from."""

    async def first(self) -> Catalog:
        """Return the catalog to begin with."""

    async def run(self, use: Callable[[Catalog], None]) -> None:
        """Hand over every newer one, in a thread, until cancelled."""

    async def stop(self) -> None:
        """Let go of what is open."""


def catalog_source(settings: Settings, width: int) -> CatalogSource | None:
    """Return where the settings say that the catalog is, None for nowhere.

    Args:
        settings: Name a file or a topic.
        width: Of the embeddings.

    Raises:
        ConfigurationError: They name both.
    """
    if settings.catalog is not None and settings.catalog_topic:
        raise ConfigurationError(
            f"two catalogs: the file {settings.catalog} and the topic {settings.catalog_topic}",
            hint="leave UIC_CATALOG or UIC_CATALOG_TOPIC out",
        )
    if settings.catalog is not None:
        return CatalogFile(settings.catalog, width)
    return CatalogTopic(settings, width) if settings.catalog_topic else None


class CatalogFile:
    """A file that is read again whenever it has changed; replace it by a rename.

    Args:
        path: The file.
        width: Of the embeddings.
    """

    def __init__(self, path: Path, width: int) -> None:
        self._path = path
        self._width = width
        self._seen: object = None

    async def first(self) -> Catalog:
        """Return what it holds.

        Raises:
            ConfigurationError: It cannot be read, or holds what it must not.
        """
        self._seen = self._look()
        return await asyncio.to_thread(read_catalog, self._path, self._width)

    async def run(self, use: Callable[[Catalog], None]) -> None:
        """Hand over what it holds whenever it has changed; what cannot be read changes nothing."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._look()
            if now in (None, self._seen):
                continue
            self._seen = now
            try:
                found = await asyncio.to_thread(read_catalog, self._path, self._width)
            except InterestCenterError as error:
                log.error("catalog_refused", reason=str(error), hint=error.hint)
                metrics.RANK_CATALOG_RELOADS.labels("refused").inc()
                continue
            await asyncio.to_thread(use, found)

    async def stop(self) -> None:
        """Nothing is open."""

    def _look(self) -> object:
        """Return what changes with the file, None while it is not there."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns


@dataclass
class CatalogTopic:
    """A compacted topic, read from its beginning and followed.

    Attributes:
        settings: Connection and topic.
        width: Of the embeddings.
    """

    settings: Settings
    width: int
    _consumer: AIOKafkaConsumer | None = None
    _changes: dict[int, CatalogItem | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._catalog = empty_catalog(self.width)

    async def first(self) -> Catalog:
        """Return what the topic says up to its present end.

        Raises:
            ConfigurationError: There is no such topic, or no Kafka.
        """
        topic = self.settings.catalog_topic
        self._consumer = consumer = AIOKafkaConsumer(
            **self.settings.kafka_options(),
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        try:
            await consumer.start()
            there = await consumer.topics()
        except KafkaError as error:
            raise no_kafka(self.settings, error) from error
        if topic not in there:  # A consumer would wait for it, 40 seconds long.
            hint = "create it with `UIC_CATALOG_TOPIC=... uic topics create --ranking`"
            raise no_topic(topic, hint)
        consumer.subscribe([topic])
        while not consumer.assignment():
            await self._poll()
        ends = await consumer.end_offsets(sorted(consumer.assignment()))
        while not await self._is_at(consumer, ends):
            await self._poll()
            if len(self._changes) >= MOST_CHANGES:
                await self._merge()
        await self._merge()
        return self._catalog

    async def run(self, use: Callable[[Catalog], None]) -> None:
        """Hand over the catalog with what has come since."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._poll()
                gathered_until = loop.time() + GATHER_SECONDS
                while self._changes and loop.time() < gathered_until:
                    await self._poll()
            except KafkaError as error:
                log.warning("catalog_waits", error=repr(error))
                await asyncio.sleep(RETRY_SECONDS)
            if self._changes:
                await self._merge()
                await asyncio.to_thread(use, self._catalog)

    async def stop(self) -> None:
        """Close the connection."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def _is_at(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
        at = [await consumer.position(place) for place in ends]
        return all(one >= end for one, end in zip(at, ends.values(), strict=True))

    async def _poll(self) -> None:
        consumer = self._consumer
        assert consumer is not None
        for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
            for record in records:
                self._take(record)

    def _take(self, record: Any) -> None:
        try:
            item, said = read_record(record.key, record.value, self.width)
        except BadRequestError as error:
            place = f"{record.topic}/{record.partition}/{record.offset}"
            reason = f"{error.field}: {error.message}"
            log.warning("catalog_record_refused", record=place, reason=reason)
            metrics.RANK_CATALOG_RECORDS.labels("refused").inc()
            return
        # The last record of an item comes last.
        self._changes.pop(item, None)
        self._changes[item] = said
        metrics.RANK_CATALOG_RECORDS.labels("read").inc()

    async def _merge(self) -> None:
        changes, self._changes = self._changes, {}
        self._catalog = await asyncio.to_thread(merged, self._catalog, changes)
