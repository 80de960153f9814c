"""Line 2: DIEN, DEI2N and the memories against their own forward with the history repeated.

Both forwards are given ready tensors; what a whole request takes is shown beside.
"""

from collections.abc import Iterator

from prove.benches import three
from prove.ranking_rows.line01_scoring import SHAPES
from prove.ranking_rows.scoring import measured
from prove.rows import Bench, Check, figure

MODELS = ("dien", "dei2n", "din+mimn", "din+hpmn")


def prove(bench: Bench) -> Iterator[Check]:
    """Read the same benchmark's figures of the other models."""
    told = measured(bench.workspace.parent / "bench-scoring.log")
    for shape in SHAPES:
        for name in MODELS:
            ways = (name, f"{name}, rows ready", f"{name}, straightforward")
            for way in ways:
                yield figure(f"{shape}: {way}, ms", three(told["milliseconds"][f"{way}, {shape}"]))
            ratio = told["ratios"][f"{name}, straightforward / rows ready, {shape}"]
            yield Check(
                f"{shape}: {name}, straightforward / rows ready",
                three(ratio),
                "median above 1",
                ratio["median"] > 1,
            )
