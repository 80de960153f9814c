"""The toy in stock Faust: a RocksDB table with its changelog, one row an event.

Run as ``python -m streams.bench.peer_faust BOOTSTRAP TOPIC PARTITIONS EVENTS DIRECTORY``; prints
one JSON line when the offset behind the last event is committed.
"""

import asyncio
import json
import os
import sys
import time
from typing import Any

import faust
from kafka.admin import KafkaAdminClient, NewTopic

from streams.bench.toy_worker import item_vectors, moved_row

NAME = "uic-bench-faust"
POLL_SECONDS = 0.05


def make_changelog(bootstrap: str, n_partitions: int) -> None:
    """Make the table's changelog; Faust 0.15.3 would make it with one partition."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    topic = NewTopic(
        f"{NAME}-rows-changelog", n_partitions, 1, topic_configs={"cleanup.policy": "compact"}
    )
    admin.create_topics([topic])
    admin.close()


def build(bootstrap: str, topic: str, n_partitions: int, n_events: int, directory: str) -> Any:
    """Build the application, with the settings that were fastest (see ``kafka.md``)."""
    app = faust.App(
        NAME,
        broker=f"kafka://{bootstrap}",
        store="rocksdb://?driver=rocksdict",
        topic_allow_declare=False,
        topic_partitions=n_partitions,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=directory,
        producer_linger=0.02,
        producer_max_batch_size=512 * 1024,
        stream_buffer_maxsize=4096,
        broker_commit_interval=1.0,
    )
    events = app.topic(topic, key_type=bytes, value_type=bytes, value_serializer="raw")
    table = app.Table("rows", default=bytes, key_type=bytes, value_type=bytes)
    vectors = item_vectors()

    async def when_committed(begun: float, cpu: float) -> None:
        while True:
            committed: Any = app.consumer._committed_offset  # type: ignore[attr-defined]
            if sum(at for tp, at in committed.items() if tp.topic == topic and at) >= n_events:
                told = {"events": n_events, "seconds": time.perf_counter() - begun}
                told["cpu_seconds"] = time.process_time() - cpu
                os.write(1, json.dumps(told).encode() + b"\n")  # Faust turns prints into a log.
                os._exit(0)
            await asyncio.sleep(POLL_SECONDS)

    @app.agent(events)
    async def apply(stream: Any) -> None:
        n = 0
        async for event in stream.events():
            if not n:
                app.add_future(when_committed(time.perf_counter(), time.process_time()))
            n += 1
            table[event.key] = moved_row(event.value, table[event.key], vectors)

    return app


if __name__ == "__main__":
    server, name, partitions, events, place = sys.argv[1:]
    make_changelog(server, int(partitions))
    built = build(server, name, int(partitions), int(events), place)
    sys.argv = [sys.argv[0], "-L", "uvloop", "worker", "-l", "warn", "--without-web"]
    built.main()
