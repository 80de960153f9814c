"""What was shown, for training: one record of each answered ranking, in a topic of its own.

``watermark`` and ``as_of`` say which events the scores have seen, so that a training can show the
model the very state that served; ``uic exposures`` makes the tables, with what came of it as label.

An answer never waits for its record. Records wait in a queue while Kafka is away; those that find
it full, or that Kafka does not take in time, are counted as lost.
"""

import asyncio

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from interest_center import metrics
from interest_center.core.exposures import ExposedItem, Exposure
from interest_center.settings import Settings
from ranking.kafka_errors import no_kafka, no_topic
from ranking.messages import RankAnswer, RankRequest

log = structlog.get_logger(__name__)

#: Records that wait for Kafka.
MOST_WAITING = 10_000
LINGER_MS = 50
STOP_SECONDS = 5.0
#: Between two warnings.
WARN_SECONDS = 10.0

_ENCODER = msgspec.json.Encoder()


def exposure_of(request: RankRequest, answer: RankAnswer, time_ms: int) -> Exposure:
    """Return what an answer shows.

    Args:
        request: What was asked.
        answer: What is returned.
        time_ms: Time that was ranked for.
    """
    categories = {one.item_id: one.category_id for one in request.candidates}
    trigger = request.trigger_item
    return Exposure(
        user_id=request.user_id,
        time_ms=time_ms,
        page=request.page,
        trigger_item_id=None if trigger is None else trigger.item_id,
        trigger_category_id=None if trigger is None else trigger.category_id,
        items=[
            ExposedItem(one.item_id, categories[one.item_id], one.probability)
            for one in answer.items
        ],
        model=answer.model,
        as_of=answer.as_of,
        watermark=answer.watermark,
        history=answer.history,
        degraded=answer.degraded,
    )


class ExposureLog:
    """Sends exposures to their topic.

    Args:
        settings: Connection and topic.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._waiting: asyncio.Queue[Exposure] = asyncio.Queue(MOST_WAITING)
        self._warned = float("-inf")

    async def start(self) -> None:
        """Connect.

        Raises:
            ConfigurationError: There is no such topic, or no Kafka.
        """
        settings, topic = self._settings, self._settings.exposures_topic
        self._producer = AIOKafkaProducer(
            **settings.kafka_options(),
            acks="all",
            linger_ms=LINGER_MS,
            enable_idempotence=True,
        )
        try:
            await self._producer.start()
            there = await self._producer.client.fetch_all_metadata()
        except KafkaError as error:
            raise no_kafka(settings, error) from error
        if topic not in there.topics():
            hint = "create it with `UIC_EXPOSURES_TOPIC=... uic topics create --ranking`"
            raise no_topic(topic, hint)

    def note(self, request: RankRequest, answer: RankAnswer, time_ms: int) -> None:
        """Keep what an answer shows, to be sent soon."""
        try:
            self._waiting.put_nowait(exposure_of(request, answer, time_ms))
        except asyncio.QueueFull:
            self._lose("the queue is full")

    async def run(self) -> None:
        """Send what waits until cancelled."""
        while True:
            exposure = await self._waiting.get()
            try:
                await self._send(exposure)
            except asyncio.CancelledError:
                self._lose("stopped while Kafka took none")
                raise

    async def stop(self) -> None:
        """Send what still waits, if Kafka takes it in time, and disconnect."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                while not self._waiting.empty():
                    await self._send(self._waiting.get_nowait())
                await self._producer.flush()
        except TimeoutError:
            self._lose("Kafka does not take them in time")
        await self._producer.stop()

    async def _send(self, exposure: Exposure) -> None:
        topic, key = self._settings.exposures_topic, exposure.user_id.encode()
        try:
            sent = await self._producer.send(topic, _ENCODER.encode(exposure), key=key)
        except KafkaError as error:
            self._lose(repr(error))
        else:
            sent.add_done_callback(self._note_sent)

    def _note_sent(self, sent: "asyncio.Future[object]") -> None:
        if sent.cancelled() or sent.exception() is not None:
            self._lose("stopped" if sent.cancelled() else repr(sent.exception()))
        else:
            metrics.RANK_EXPOSURES.labels("sent").inc()

    def _lose(self, why: str) -> None:
        metrics.RANK_EXPOSURES.labels("lost").inc()
        now = asyncio.get_running_loop().time()
        if now > self._warned + WARN_SECONDS:
            self._warned = now
            log.warning("exposures_lost", why=why)
