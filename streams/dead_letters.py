"""Records that cannot be applied go to the dead-letter topic: reason, place and original bytes.

Headers, all UTF-8: ``reason`` (short code), ``detail`` (a sentence), ``topic``, ``partition`` and
``offset``. The last three are the identity of a dead letter: after a crash it may appear twice.
The headers of the record itself follow under ``original.NAME``.
"""

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from interest_center import metrics
from interest_center.core.errors import ConfigurationError
from interest_center.core.events import DeadLetter
from interest_center.core.fault_points import fault_point
from interest_center.settings import Settings
from streams.kafka_patience import RETRY_SECONDS, passes

log = structlog.get_logger(__name__)

#: Above what the events topic takes, so that any record fits with its headers.
MAX_REQUEST_BYTES = 16 << 20


def headers_of(letter: DeadLetter) -> list[tuple[str, bytes | None]]:
    """Return the headers that say where a record is from and what is wrong with it."""
    return [
        ("reason", letter.reason.encode()),
        ("detail", letter.detail.encode()),
        ("topic", letter.topic.encode()),
        ("partition", str(letter.partition).encode()),
        ("offset", str(letter.offset).encode()),
        *((f"original.{name}", value) for name, value in letter.headers),
    ]


class DeadLetterWriter:
    """Writes dead letters and waits until the broker has them.

    Args:
        settings: Connection and name of the topic.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.dead_letters_topic
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def write(self, letters: Sequence[DeadLetter]) -> None:
        """Write some letters; returns when all are acknowledged, however long that takes.

        Raises:
            ConfigurationError: The topic refuses them, so that waiting would not help.
        """
        if not letters:
            return
        while not await self._try_to_write(letters):
            await asyncio.sleep(RETRY_SECONDS)
        for letter in letters:
            metrics.DEAD_LETTERS.labels(letter.reason).inc()

    async def stop(self) -> None:
        """Close the connection."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def _try_to_write(self, letters: Sequence[DeadLetter]) -> bool:
        try:
            producer = await self._started()
            fault_point("before_dead_letters")
            acks = [
                await producer.send(
                    self._topic, key=letter.key, value=letter.value, headers=headers_of(letter)
                )
                for letter in letters
            ]
            fault_point("before_dead_letter_ack")
            await asyncio.gather(*acks)
        except KafkaError as error:
            if not passes(error):
                raise ConfigurationError(
                    f"the dead-letter topic {self._topic} takes no records: {error!r}",
                    hint="create it with `uic topics create`, or raise its max.message.bytes",
                ) from error
            log.warning(
                "dead_letters_wait",
                topic=self._topic,
                error=repr(error),
                next="the partition waits; if the topic is gone, `uic topics create` makes it",
            )
            return False
        fault_point("after_dead_letter_ack")
        return True

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._settings.kafka_options(),
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=5,
                    max_request_size=MAX_REQUEST_BYTES,
                )
                try:
                    await producer.start()
                except (KafkaError, asyncio.CancelledError):
                    await producer.stop()
                    raise
                self._producer = producer
        return self._producer
