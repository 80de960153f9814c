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

A request that cannot be answered goes to the dead letters with its original bytes, the same
headers, ``reason`` (``bad_request``, or ``failed`` for a model that cannot score it) and
``detail``; its own headers follow under ``original.NAME``. Bytes that the topic does not take are
left out, and ``detail`` says so.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from interest_center import metrics
from interest_center.core.errors import (
    BadRequestError,
    InterestCenterError,
)
from interest_center.settings import Settings
from ranking.kafka_errors import no_kafka, no_topic
from ranking.rankings import Rankings
from ranking.request_reading import decode_request

log = structlog.get_logger(__name__)

CORRELATION_HEADER = "correlation-id"
POLL_MS = 200
#: Requests that are answered together.
MOST_AT_ONCE = 50
RETRY_SECONDS = 0.5
BUSY_SECONDS = 0.02
#: Between two looks at a position that must say the same: the broker writes it a little later than
#: it ends the transaction.
SETTLE_SECONDS = 0.1
#: A worker that is gone for longer has lost its partitions.
SESSION_MS = 10_000
MAX_REQUEST_BYTES = 16 << 20

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True)
class Outgoing:
    """A record of the transaction."""

    topic: str
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes | None]]


class KafkaPath(ConsumerRebalanceListener):  # type: ignore[misc]
    """Answers the requests of the topic's partitions that the group gives to this worker.

    A partition is *ready* when it has its producer and its position is the one behind the last
    answer. Only requests of ready partitions are answered; what else was fetched is fetched again.

    Args:
        settings: Connection, topics and group.
        rankings: Answers the requests.
    """

    def __init__(self, settings: Settings, rankings: Rankings) -> None:
        self._settings = settings
        self._rankings = rankings
        self._ready: dict[TopicPartition, AIOKafkaProducer] = {}
        #: Held while requests are answered: partitions are given up in between.
        self._answering = asyncio.Lock()
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Join the group.

        Raises:
            ConfigurationError: Kafka does not take us, or a topic is not there.
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
            there = await consumer.topics()
        except KafkaError as error:
            raise no_kafka(settings, error) from error
        wanted = (
            settings.rank_requests_topic,
            settings.rankings_topic,
            settings.rank_dead_letters_topic,
        )
        for topic in wanted:
            if topic not in there:
                raise no_topic(topic, "create the topics with `uic topics create --ranking`")
        consumer.subscribe([settings.rank_requests_topic], listener=self)

    async def run(self) -> None:
        """Answer until cancelled; what fails for the moment is tried again."""
        while True:
            try:
                await self._turn()
            except KafkaError as error:
                log.warning("kafka_waits", error=repr(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def stop(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            await self._consumer.stop()
        await self._give_up(list(self._ready))

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Finish what is being answered, and let go."""
        async with self._answering:
            await self._give_up(revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Say which; they are made ready in the next turn."""
        log.info("ranking_partitions", partitions=sorted(place.partition for place in assigned))

    # --- a turn ----------------------------------------------------------------------------

    async def _turn(self) -> None:
        """Answer what was fetched of ready partitions, then make the others ready."""
        consumer = self._consumer
        assert consumer is not None
        fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=MOST_AT_ONCE)
        async with self._answering:
            # All to their end, whatever becomes of one: no transaction outlives its turn.
            outcomes = await asyncio.gather(
                *(
                    self._answer_some(place, some)
                    for place, some in fetched.items()
                    if place in self._ready
                ),
                return_exceptions=True,
            )
            for place in sorted(consumer.assignment() - self._ready.keys()):
                await self._make_ready(place)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _make_ready(self, place: TopicPartition) -> None:
        """Fence whoever had a partition before, then go on where that one ended."""
        settings = self._settings
        producer = AIOKafkaProducer(
            **settings.kafka_options(),
            transactional_id=f"{settings.rank_group}-{place.topic}-{place.partition}",
            max_request_size=MAX_REQUEST_BYTES,
        )
        try:
            await producer.start()
            await self._go_back(place)
        except BaseException:
            await producer.stop()
            raise
        self._ready[place] = producer

    async def _go_back(self, place: TopicPartition) -> None:
        """Seek to the first request without a committed answer."""
        consumer = self._consumer
        assert consumer is not None
        committed, before = await consumer.committed(place), object()
        while committed != before:
            await asyncio.sleep(SETTLE_SECONDS)
            before, committed = committed, await consumer.committed(place)
        if committed is None:
            committed = (await consumer.beginning_offsets([place]))[place]
        consumer.seek(place, committed)

    async def _give_up(self, places: Collection[TopicPartition]) -> None:
        for place in places:
            producer = self._ready.pop(place, None)
            if producer is not None:
                await producer.stop()

    # --- answers ---------------------------------------------------------------------------

    async def _answer_some(self, place: TopicPartition, records: Sequence[Any]) -> None:
        """Answer some requests of a partition, all or none of them."""
        answers = await asyncio.gather(*(self._answer(record) for record in records))
        next_offset = records[-1].offset + 1
        try:
            try:
                await self._commit(place, answers, next_offset)
            except MessageSizeTooLargeError:
                await self._commit(place, [self._short(one) for one in answers], next_offset)
        except BaseException:
            # Nothing of it is committed; a producer of a new epoch answers the requests again.
            await self._give_up([place])
            raise
        for one in answers:
            is_answer = one.topic == self._settings.rankings_topic
            metrics.RANK_KAFKA.labels("answered" if is_answer else "dead_lettered").inc()

    async def _commit(
        self, place: TopicPartition, answers: Sequence[Outgoing], next_offset: int
    ) -> None:
        """Write answers and the position behind their requests in one transaction."""
        producer = self._ready[place]
        async with producer.transaction():
            acks = [
                await producer.send(one.topic, one.value, key=one.key, headers=one.headers)
                for one in answers
            ]
            await asyncio.gather(*acks)
            group = self._settings.rank_group
            await producer.send_offsets_to_transaction({place: next_offset}, group)

    def _short(self, one: Outgoing) -> Outgoing:
        """Return a dead letter without the bytes that the topic does not take."""
        if one.topic == self._settings.rankings_topic:
            return one
        left_out = f"; its {len(one.value):,} bytes are left out".encode()
        headers = [
            (name, (value or b"") + left_out if name == "detail" else value)
            for name, value in one.headers
        ]
        return replace(one, value=b"", headers=headers)

    async def _answer(self, record: Any) -> Outgoing:
        """Return the answer of a request, or the dead letter of one that has none."""
        settings, headers = self._settings, headers_of(record)
        try:
            body = await self._rank(record.value or b"")
        except InterestCenterError as error:
            reason, detail = "failed", str(error)
            if isinstance(error, BadRequestError):
                reason, detail = "bad_request", f"{error.field}: {error.message}"
            headers += [
                ("reason", reason.encode()),
                ("detail", detail.encode()),
                *((f"original.{name}", value) for name, value in record.headers),
            ]
            value = record.value or b""
            return Outgoing(settings.rank_dead_letters_topic, record.key, value, headers)
        return Outgoing(settings.rankings_topic, record.key, body, headers)

    async def _rank(self, body: bytes) -> bytes:
        """Rank as soon as there is room."""
        while not self._rankings.has_room:
            await asyncio.sleep(BUSY_SECONDS)
        return _ENCODER.encode(await self._rankings.rank(lambda: decode_request(body)))


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
