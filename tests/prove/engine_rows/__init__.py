"""The lines of the fifth issue."""

from prove.engine_rows import line05_chaos
from prove.rows import Line

LINES = [
    Line(5, "100 kills under load, each named fault, two broken builds caught", line05_chaos.prove),
]
