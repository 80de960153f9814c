"""The lines of ranking: speed, load, faults, bad input, the same scores by every way."""

from prove.ranking_rows import (
    line01_scoring,
    line02_other_models,
    line06_malformed,
    line07_equality,
)
from prove.rows import Line

LINES = [
    Line(1, "scoring beside FuxiCTR and DeepCTR-Torch, on one core", line01_scoring.prove),
    Line(2, "scoring beside the straightforward forward", line02_other_models.prove),
    Line(6, "bad input is refused by its field, and ties up nobody", line06_malformed.prove),
    Line(7, "the same scores over HTTP, Kafka, the inference protocol, offline",
         line07_equality.prove),
]  # fmt: skip
