"""The lines of the second issue; a line is a module of its own and an entry here."""

from prove.models_rows import (
    line01_checks,
    line08_replay,
    line09_attention,
    line10_interruption,
)
from prove.rows import Line

LINES = [
    Line(1, "vectors, contract checks, and mutations that tests notice", line01_checks.prove),
    Line(8, "trained bundles in the running system equal offline scores", line08_replay.prove),
    Line(9, "the most attended behavior moves the score the most", line09_attention.prove),
    Line(10, "a training killed at random points and taken up again", line10_interruption.prove),
]
