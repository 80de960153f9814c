"""Line 1: DIN against FuxiCTR, DeepCTR-Torch, and the products of matrices it is made of.

Held against the peers on the same work, twice: from ids to probabilities, and the layers alone on
tensors that are ready; against the products, the layers alone.
"""

from collections.abc import Iterator

from prove.benches import three
from prove.ranking_rows.scoring import measured
from prove.rows import Bench, Check, figure

LARGE = "1000 x 100"
SHAPES = ("100 x 20", "100 x 100", LARGE, "100 x 1000")
#: How many times a peer's time ours has to be short of: at the large shape, and elsewhere.
LEAST = {"FuxiCTR DIN": (5.0, 3.0), "DeepCTR-Torch DIN": (4.0, 2.5)}
MOST_OF_PRODUCTS = 2.0
#: From ids to probabilities, and without laying out.
HOW = ("", ", rows ready")


def prove(bench: Bench) -> Iterator[Check]:
    """Run the benchmark and hold DIN's figures against what they have to be."""
    bench.say("make bench-scoring")
    told = measured(bench.workspace.parent / "bench-scoring.log")
    sizes = ", ".join(f"{name} {size}" for name, size in told["sizes"].items())
    yield figure("sizes, threads", f"{sizes}; {told['threads']} of {told['processors']}")
    times, ratios = told["milliseconds"], told["ratios"]
    for shape in SHAPES:
        for name in ("din", *LEAST):
            for how in HOW:
                yield figure(f"{shape}: {name}{how}, ms", three(times[f"{name}{how}, {shape}"]))
        products = times[f"products of matrices, {shape}"]
        yield figure(f"{shape}: products of matrices, ms", three(products))
        for rival, (large, elsewhere) in LEAST.items():
            least = large if shape == LARGE else elsewhere
            for how in HOW:
                found = ratios[f"{rival} / din{how}, {shape}"]
                yield Check(
                    f"{shape}: {rival} / din{how}",
                    three(found),
                    f"median at least {least:g}",
                    found["median"] >= least,
                )
        found = ratios[f"din, rows ready / products of matrices, {shape}"]
        yield Check(
            f"{shape}: din, rows ready / products of matrices",
            three(found),
            f"median at most {MOST_OF_PRODUCTS:g}",
            found["median"] <= MOST_OF_PRODUCTS,
        )
