"""The toy in Quix Streams, by its fast path: bytes as state, the default commit interval.

Run as ``python -m streams.bench.peer_quix BOOTSTRAP TOPIC PARTITIONS EVENTS DIRECTORY``; prints
one JSON line when the checkpoint that covers the last event is done.
"""

import json
import os
import sys
import time
from typing import Any

from quixstreams import Application

from streams.bench.toy_worker import item_vectors, moved_row

COMMIT_SECONDS = 5.0
IDLE_SECONDS = 30


def run(bootstrap: str, topic: str, n_events: int, directory: str) -> dict[str, float]:
    """Consume a topic to its end; return events, time and CPU time."""
    app = Application(
        broker_address=bootstrap,
        consumer_group="uic-bench-quix",
        auto_offset_reset="earliest",
        state_dir=directory,
        commit_interval=COMMIT_SECONDS,
        loglevel="WARNING",
        producer_extra_config={"linger.ms": 20, "batch.size": 512 * 1024},
    )
    events = app.topic(topic, key_deserializer="bytes", value_deserializer="bytes")
    vectors, begun = item_vectors(), list[float]()

    def step(value: bytes, state: Any) -> bytes:
        if not begun:
            begun.extend((time.perf_counter(), time.process_time()))
        state.set_bytes("row", moved_row(value, state.get_bytes("row"), vectors))
        return value

    frame = app.dataframe(events)
    frame = frame.apply(step, stateful=True)
    # The run ends with a checkpoint; when it returns the last event is durable.
    context, ended = type(app._processing_context), list[float]()
    commit = context.commit_checkpoint

    def timed(self: Any, *args: Any, **more: Any) -> Any:
        done = commit(self, *args, **more)
        ended[:] = (time.perf_counter(), time.process_time())
        return done

    context.commit_checkpoint = timed
    app.run(count=n_events, timeout=IDLE_SECONDS, collect=False)
    (at, cpu), (first, first_cpu) = ended, begun
    return {"events": n_events, "seconds": at - first, "cpu_seconds": cpu - first_cpu}


if __name__ == "__main__":
    server, name, _, wanted, place = sys.argv[1:]
    print(json.dumps(run(server, name, int(wanted), place)), flush=True)  # noqa: T201
    os._exit(0)
