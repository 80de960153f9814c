"""Line 2: DIEN, DEI2N and the memories against their own forward with the history repeated."""

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
            ours = told["milliseconds"][f"{name}, {shape}"]
            plain = told["milliseconds"][f"{name}, straightforward, {shape}"]
            yield figure(f"{shape}: {name}, ms; straightforward", f"{three(ours)}; {three(plain)}")
            ratio = told["ratios"][f"{name}, straightforward / ours, {shape}"]
            yield Check(
                f"{shape}: {name}, straightforward / ours",
                three(ratio),
                "median above 1",
                ratio["median"] > 1,
            )
