"""The lines of the engine: speed, freshness, faults."""

from prove.engine_rows import (
    line01_toy,
    line02_real,
    line03_two_workers,
    line04_freshness,
    line05_chaos,
    line06_paused,
    line07_restarts,
    line08_soak,
    line09_capacity,
)
from prove.rows import Line

LINES = [
    Line(1, "the toy beside stock Faust and Quix Streams", line01_toy.prove),
    Line(2, "real work: events a second, durable", line02_real.prove),
    Line(3, "two workers against one", line03_two_workers.prove),
    Line(4, "freshness at half of the top rate", line04_freshness.prove),
    Line(5, "100 kills under load, each named fault, two broken builds caught", line05_chaos.prove),
    Line(6, "paused past the session timeout, and resumed", line06_paused.prove),
    Line(7, "a million users started again, and their snapshots", line07_restarts.prove),
    Line(8, "twenty minutes at half of the top rate", line08_soak.prove),
    Line(9, "bytes of a user, and the plan of a large site", line09_capacity.prove),
]
