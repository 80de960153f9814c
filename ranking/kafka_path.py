"""Rankings over Kafka: requests from one topic, answers to another, exactly one each.

The answers of some requests, the dead letters of the wrong ones and the offset behind them all are
one transaction, so a crash leaves all of it or nothing, and who reads committed records finds one
answer a request. A partition of the requests has a producer of its own, whose transactional id is
the partition's: whoever gets the partition fences the worker that had it before. The position is
asked for after that, when nobody else can move it any more.

A request is the JSON of ``/v1/rank``. The answer is what ``/v1/rank`` returns, under the request's
key, with these headers (UTF-8):

* ``correlation-id``: that of the request, else ``TOPIC/PARTITION/OFFSET`` of it;
* ``topic``, ``partition``, ``offset``: of the request.

A wrong request goes to the dead letters with its original bytes, the same headers, ``reason``
(``bad_request``) and ``detail``; its own headers follow under ``original.NAME``.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from interest_center import metrics
from interest_center.core.errors import BadRequestError, ConfigurationError, OverloadedError
from interest_center.settings import Settings
from ranking.rankings import Rankings
from ranking.request_reading import decode_request

log = structlog.get_logger(__name__)

CORRELATION_HEADER = "correlation-id"
POLL_MS = 200
#: Of one partition in one transaction.
MOST_AT_ONCE = 50
RETRY_SECONDS = 0.5
BUSY_SECONDS = 0.02
#: A worker that is gone for longer has lost its partitions.
SESSION_MS = 10_000
MAX_REQUEST_BYTES = 16 << 20

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True)
class Outgoing:
    """A record of the transaction."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class KafkaPath(ConsumerRebalanceListener):  # type: ignore[misc]
    """Answers the requests of the topic's partitions that the group gives to this worker.

    Args:
        settings: Connection, topics and group.
        rankings: Answers the requests.
    """

    def __init__(self, settings: Settings, rankings: Rankings) -> None:
        self._settings = settings
        self._rankings = rankings
        self._producers: dict[TopicPartition, AIOKafkaProducer] = {}
        #: Held while requests are answered: partitions come and go in between.
        self._answering = asyncio.Lock()
        #: How often they came or went.
        self._n_changes = 0
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Join the group.

        Raises:
            ConfigurationError: No broker answers, or a topic is not there.
        """
        settings = self._settings
        self._consumer = consumer = AIOKafkaConsumer(
            **settings.kafka_options(),
            group_id=settings.rank_group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=SESSION_MS // 5,
        )
        try:
            await consumer.start()
            await self._check_topics(consumer)
        except (KafkaConnectionError, ConfigurationError) as error:
            await consumer.stop()
            if isinstance(error, ConfigurationError):
                raise
            raise ConfigurationError(
                f"no Kafka at {settings.bootstrap_servers}",
                hint="`uic broker start`, or set UIC_KAFKA_BOOTSTRAP_SERVERS to your cluster",
            ) from error
        consumer.subscribe([settings.rank_requests_topic], listener=self)

    async def _check_topics(self, consumer: AIOKafkaConsumer) -> None:
        there = await consumer.topics()
        wanted = (
            self._settings.rank_requests_topic,
            self._settings.rankings_topic,
            self._settings.rank_dead_letters_topic,
        )
        missing = [topic for topic in wanted if topic not in there]
        if missing:
            raise ConfigurationError(
                f"topic {missing[0]} is not there",
                hint="create the topics with `uic topics create --ranking`",
            )

    async def run(self) -> None:
        """Answer until cancelled; what fails for the moment is tried again."""
        consumer = self._consumer
        assert consumer is not None
        while True:
            try:
                tenure = self._n_changes
                fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=MOST_AT_ONCE)
                async with self._answering:
                    if tenure != self._n_changes:
                        # From before the partitions came and went: fetched again.
                        await asyncio.gather(*map(self._go_back, fetched.keys() & self._producers))
                        continue
                    await asyncio.gather(
                        *(self._answer_some(place, some) for place, some in fetched.items())
                    )
            except KafkaError as error:
                log.warning("kafka_waits", error=repr(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def stop(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            await self._consumer.stop()
        await self._give_up(list(self._producers))

    # --- what the group says ---------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Finish what is being answered, and let go."""
        async with self._answering:
            self._n_changes += 1
            await self._give_up(revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Fence whoever had the partitions before, then go on where they ended."""
        consumer = self._consumer
        assert consumer is not None
        async with self._answering:
            self._n_changes += 1
            for place in assigned:
                self._producers[place] = await self._new_producer(place)
                await self._go_back(place)
        log.info("ranking_partitions", partitions=sorted(place.partition for place in assigned))

    async def _new_producer(self, place: TopicPartition) -> AIOKafkaProducer:
        settings = self._settings
        producer = AIOKafkaProducer(
            **settings.kafka_options(),
            transactional_id=f"{settings.rank_group}-{place.topic}-{place.partition}",
            max_request_size=MAX_REQUEST_BYTES,
        )
        try:
            await producer.start()
        except KafkaError:
            await producer.stop()
            raise
        return producer

    async def _give_up(self, places: Collection[TopicPartition]) -> None:
        for place in places:
            producer = self._producers.pop(place, None)
            if producer is not None:
                await producer.stop()

    async def _go_back(self, place: TopicPartition) -> None:
        """Seek to the first request without a committed answer."""
        consumer = self._consumer
        assert consumer is not None
        committed = await consumer.committed(place)
        if committed is None:
            committed = (await consumer.beginning_offsets([place]))[place]
        consumer.seek(place, committed)

    # --- answers ---------------------------------------------------------------------------

    async def _answer_some(self, place: TopicPartition, records: Sequence[Any]) -> None:
        """Answer some requests of a partition, all or none of them."""
        producer = self._producers.get(place)
        if producer is None:
            return  # Given up since they were fetched: its next owner answers them.
        answers = await asyncio.gather(*(self._answer(record) for record in records))
        try:
            async with producer.transaction():
                acks = [
                    await producer.send(one.topic, one.value, key=one.key, headers=one.headers)
                    for one in answers
                ]
                await asyncio.gather(*acks)
                offsets = {place: records[-1].offset + 1}
                await producer.send_offsets_to_transaction(offsets, self._settings.rank_group)
        except KafkaError:
            # Nothing of it is committed: with a producer of a new epoch the requests come again.
            await self._give_up([place])
            self._producers[place] = await self._new_producer(place)
            await self._go_back(place)
            raise
        for one in answers:
            is_answer = one.topic == self._settings.rankings_topic
            metrics.RANK_KAFKA.labels("answered" if is_answer else "dead_lettered").inc()

    async def _answer(self, record: Any) -> Outgoing:
        """Return the answer of a request, or the dead letter of a wrong one."""
        headers = headers_of(record)
        try:
            body = await self._rank(record.value or b"")
        except BadRequestError as error:
            headers += [
                ("reason", b"bad_request"),
                ("detail", f"{error.field}: {error.message}".encode()),
                *((f"original.{name}", value) for name, value in record.headers),
            ]
            topic = self._settings.rank_dead_letters_topic
            return Outgoing(topic, record.key, record.value, headers)
        return Outgoing(self._settings.rankings_topic, record.key, body, headers)

    async def _rank(self, body: bytes) -> bytes:
        """Rank as soon as there is room."""
        while True:
            try:
                return _ENCODER.encode(await self._rankings.rank(lambda: decode_request(body)))
            except OverloadedError:
                await asyncio.sleep(BUSY_SECONDS)


def headers_of(record: Any) -> list[tuple[str, bytes | None]]:
    """Return the headers by which an answer finds back to its request."""
    place = f"{record.topic}/{record.partition}/{record.offset}"
    given = [value for name, value in record.headers if name == CORRELATION_HEADER and value]
    return [
        (CORRELATION_HEADER, given[0] if given else place.encode()),
        ("topic", record.topic.encode()),
        ("partition", str(record.partition).encode()),
        ("offset", str(record.offset).encode()),
    ]
