"""Line 1: DIN against FuxiCTR, DeepCTR-Torch, and the products of matrices it is made of."""

from collections.abc import Iterator

from prove.benches import three
from prove.ranking_rows.scoring import measured
from prove.rows import Bench, Check, figure

LARGE = "1000 x 100"
SHAPES = ("100 x 20", "100 x 100", LARGE, "100 x 1000")
#: How many times a peer's time ours has to be short of: at the large shape, and elsewhere.
LEAST = {"FuxiCTR DIN": (5.0, 3.0), "DeepCTR-Torch DIN": (4.0, 2.5)}
MOST_OF_PRODUCTS = 2.0


def prove(bench: Bench) -> Iterator[Check]:
    """Run the benchmark and hold DIN's figures against what they have to be."""
    bench.say("make bench-scoring")
    told = measured(bench.workspace.parent / "bench-scoring.log")
    sizes = ", ".join(f"{name} {size}" for name, size in told["sizes"].items())
    yield figure("sizes, threads", f"{sizes}; {told['threads']} of {told['processors']}")
    times, ratios = told["milliseconds"], told["ratios"]
    for shape in SHAPES:
        for name in ("din", *LEAST, "products of matrices"):
            yield figure(f"{shape}: {name}, ms", three(times[f"{name}, {shape}"]))
        for rival, (large, elsewhere) in LEAST.items():
            found, least = ratios[f"{rival} / din, {shape}"], large if shape == LARGE else elsewhere
            yield Check(
                f"{shape}: {rival} / din",
                three(found),
                f"median at least {least:g}",
                found["median"] >= least,
            )
        found = ratios[f"din / products of matrices, {shape}"]
        yield Check(
            f"{shape}: din / products of matrices",
            three(found),
            f"median at most {MOST_OF_PRODUCTS:g}",
            found["median"] <= MOST_OF_PRODUCTS,
        )
