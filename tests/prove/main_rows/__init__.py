"""The eleven lines of the first issue."""

from prove.main_rows import (
    line01_demo,
    line02_replay,
    line03_kills,
    line04_workers,
    line05_malformed,
    line06_formats,
    line07_vectors,
    line08_models,
    line09_latency,
    line10_lag,
    line11_rate,
)
from prove.rows import Line

LINES = [
    Line(1, "make demo, make test, and three clicks that move a ranking", line01_demo.prove),
    Line(2, "two real logs through the running system, every user compared", line02_replay.prove),
    Line(3, "20 kill -9, and a wiped disk with and without a snapshot", line03_kills.prove),
    Line(4, "two workers: killed, joining, paused past the timeout", line04_workers.prove),
    Line(5, "10,000 malformed events among good ones", line05_malformed.prove),
    Line(6, "every format, interrupted and resumed; foreign memory weights", line06_formats.prove),
    Line(7, "numeric vectors 01, 02, 05, 06, 10", line07_vectors.prove),
    Line(8, "simulated world: model between count baseline and oracle", line08_models.prove),
    Line(9, "latency of a push and of a ranking", line09_latency.prove),
    Line(10, "lag by a real Prometheus while the worker is held back", line10_lag.prove),
    Line(11, "first sustained rate of the worker", line11_rate.prove),
]
