"""A sender in a process of its own: the events of a workload, so many a second, until it is ended.

Run as ``python -m streams.bench.steady_sender NAME WORKLOAD EVENTS_PER_SECOND`` with the worker's
settings; the workload as JSON.
"""

import asyncio
import sys
import time
from itertools import islice

import msgspec
from aiokafka import AIOKafkaProducer

from interest_center.settings import Settings, load_settings
from streams.bench.loading import BATCH_BYTES
from streams.bench.workload import Workload

TICK_SECONDS = 0.02
#: Of one tick, so that they fit into one batch even if one partition takes all.
MOST_AT_ONCE = 2_000


async def send(settings: Settings, load: Workload, events_per_second: float) -> None:
    """Push all events of a workload at a rate; what a slow moment left is made up for."""
    producer = AIOKafkaProducer(
        **settings.kafka_options(), acks="all", max_batch_size=BATCH_BYTES, enable_idempotence=True
    )
    await producer.start()
    try:
        messages, n_sent, begun = load.messages(time.time_ns() // 1_000_000), 0, time.monotonic()
        while n_sent < load.n_events:
            due = int((time.monotonic() - begun) * events_per_second) - n_sent
            due = min(due, MOST_AT_ONCE, load.n_events - n_sent)
            batches = [producer.create_batch() for _ in range(load.n_partitions)]
            for partition, key, value in islice(messages, due):
                batches[partition].append(key=key, value=value, timestamp=None)
            for partition, batch in enumerate(batches):
                if batch.record_count():
                    await producer.send_batch(batch, settings.events_topic, partition=partition)
            n_sent += due
            await asyncio.sleep(TICK_SECONDS)
    finally:
        await producer.stop()


if __name__ == "__main__":
    _, _, workload, rate = sys.argv
    asyncio.run(send(load_settings(), msgspec.json.decode(workload, type=Workload), float(rate)))
