"""The lines of ranking: speed, load, faults, bad input, the same scores by every way."""

from prove.ranking_rows import (
    line01_scoring,
    line02_other_models,
    line03_flat,
    line04_load,
    line05_owner,
    line06_malformed,
    line07_equality,
    line08_start,
)
from prove.rows import Line

LINES = [
    Line(1, "scoring beside FuxiCTR and DeepCTR-Torch, on one core", line01_scoring.prove),
    Line(2, "scoring beside the straightforward forward", line02_other_models.prove),
    Line(3, "a request costs the same however long the past is", line03_flat.prove),
    Line(4, "open-loop load over HTTP while events stream in", line04_load.prove),
    Line(5, "an owner stopped, paused, killed, started under load", line05_owner.prove),
    Line(6, "bad input is refused by its field, and ties up nobody", line06_malformed.prove),
    Line(7, "the same scores over HTTP, Kafka, the inference protocol, offline",
         line07_equality.prove),
    Line(8, "memory and start with a million items", line08_start.prove),
]  # fmt: skip
