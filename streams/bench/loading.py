"""Events into the topic before anything is measured, as fast as a client can."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from aiokafka import AIOKafkaProducer

from interest_center.settings import Settings
from streams.bench.workload import Workload

BATCH_BYTES = 1 << 19
#: Batches on their way to the broker.
MOST_IN_FLIGHT = 16


def load_topic(settings: Settings, load: Workload, progress: Callable[[int], None]) -> None:
    """Push all events of a workload and wait until Kafka has them.

    Args:
        settings: Where Kafka is, and the topic.
        load: The events.
        progress: Told how many more are pushed.

    Raises:
        KafkaError: Kafka did not take them.
    """
    asyncio.run(_load(settings, load, progress))


async def _load(settings: Settings, load: Workload, progress: Callable[[int], None]) -> None:
    producer = AIOKafkaProducer(
        **settings.kafka_options(), acks="all", max_batch_size=BATCH_BYTES, enable_idempotence=True
    )
    await producer.start()
    try:
        topic, sent = settings.events_topic, deque[asyncio.Future[object]]()
        batches = [producer.create_batch() for _ in range(load.n_partitions)]
        for partition, key, value in load.messages(time.time_ns() // 1_000_000):
            batch = batches[partition]
            if batch.append(key=key, value=value, timestamp=None) is not None:
                continue
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            progress(batch.record_count())
            batch = batches[partition] = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
            while len(sent) > MOST_IN_FLIGHT:
                await sent.popleft()
        for partition, batch in enumerate(batches):
            if batch.record_count():
                sent.append(await producer.send_batch(batch, topic, partition=partition))
                progress(batch.record_count())
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
