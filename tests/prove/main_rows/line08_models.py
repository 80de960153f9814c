"""Line 8: a simulated world whose best reachable AUC is known; the model between the baselines."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from prove.rows import Bench, Check, aim, figure
from prove.system import System

MIN_GAP = 0.08
MAX_APART = 0.02
AIM_CLOSED = 0.5
PRIOR_COUNT = 20.0
SECONDS = 1_800.0


def exact_auc(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    """Return the area under the ROC curve; ties count one half."""
    order = np.argsort(scores, kind="stable")
    _, start, count = np.unique(scores[order], return_index=True, return_counts=True)
    ranks = np.repeat(start + (count + 1) / 2, count)
    positive = labels[order] == 1
    n_positive = int(positive.sum())
    n_negative = len(labels) - n_positive
    area = ranks[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(area / (n_positive * n_negative))


def count_scores(samples: pl.DataFrame) -> NDArray[np.float64]:
    """Score by smoothed click rates of item, category and user in the training samples."""
    train = samples.filter(pl.col("split") == "train")
    mean = train["label"].mean()
    assert isinstance(mean, float)
    prior = float(np.log(mean / (1 - mean)))
    score = np.full(len(samples), prior)
    for name in ("item_id", "category_id", "user_id"):
        counted = train.group_by(name).agg(pl.col("label").sum().alias("k"), pl.len().alias("n"))
        joined = samples.select(name).join(counted, on=name, how="left", maintain_order="left")
        clicks = joined["k"].fill_null(0).to_numpy() + PRIOR_COUNT * mean
        rate = clicks / (joined["n"].fill_null(0).to_numpy() + PRIOR_COUNT)
        score = score + np.log(rate / (1 - rate)) - prior
    return score


def prove(bench: Bench) -> Iterator[Check]:
    """Simulate on the suite's seed, train, evaluate; recompute oracle and count baseline."""
    yield figure("seed of the world", str(bench.seed))
    world = bench.workspace / "world"
    with System(bench.workspace / "home") as system:
        bench.say("simulating")
        system.run("simulate", "--seed", str(bench.seed), "--out", str(world), seconds=SECONDS)
        frozen = hashes(world)
        tables = ["--events", str(world / "events.parquet")]
        tables += ["--samples", str(hidden_probability(world))]
        bundle = bench.workspace / "bundle"
        bench.say("training")
        system.run("train", *tables, "--out", str(bundle), seconds=SECONDS)
        bench.say("evaluating")
        done = system.run(
            "evaluate",
            "--bundle",
            str(bundle),
            *tables,
            "--split",
            "test",
            "--json",
            seconds=SECONDS,
        )
    figures: dict[str, Any] = json.loads(done.stdout)
    same = hashes(world) == frozen
    yield Check("the world after training", "unchanged" if same else "CHANGED", "unchanged", same)
    yield from compared(world, float(figures["auc"]))


def hashes(world: Path) -> dict[str, str]:
    """Return the content hash of each file that the simulator wrote."""
    names = ("events.parquet", "samples.parquet", "world.json")
    return {name: hashlib.sha256((world / name).read_bytes()).hexdigest() for name in names}


def hidden_probability(world: Path) -> Path:
    """Return the samples without the true probability, so that no model can have seen it."""
    path = world / "samples-without-probability.parquet"
    pl.read_parquet(world / "samples.parquet").drop("probability").write_parquet(path)
    return path


def compared(world: Path, model: float) -> Iterator[Check]:
    """Hold the model against the oracle and the better of two count baselines."""
    samples = pl.read_parquet(world / "samples.parquet")
    test = (samples["split"] == "test").to_numpy()
    labels = samples["label"].to_numpy()[test]
    oracle = exact_auc(labels, samples["probability"].to_numpy()[test])
    own = exact_auc(labels, count_scores(samples)[test])
    told = json.loads((world / "world.json").read_text())
    written = _figures_of(told)
    base = max(own, float(written["splits"]["test"]["count_baseline_auc"]))
    cut = written["oracle_auc_by_last_behaviors"]
    yield figure("test samples", f"{len(labels):,}")
    yield figure(
        "oracle from the last n behaviors", ", ".join(f"{k}: {v:.4f}" for k, v in cut.items())
    )
    whole, ring = float(written["oracle_auc_audited"]), float(cut["100"])
    yield Check(
        "oracle AUC, ours and the simulator's on its sample of the split",
        f"{oracle:.4f} and {whole:.4f}",
        f"within {MAX_APART}",
        abs(oracle - whole) <= MAX_APART,
    )
    yield Check(
        "what is older than the ring is worth", f"{whole - ring:.4f}", "more than 0", whole > ring
    )
    yield Check(
        "oracle AUC and count baseline AUC",
        f"{oracle:.4f} and {base:.4f}",
        f"at least {MIN_GAP} apart",
        oracle - base >= MIN_GAP,
    )
    closed = (model - base) / (oracle - base)
    yield aim(
        "model AUC",
        f"{model:.4f}, closes {closed:.0%}",
        "half of the gap closed",
        closed >= AIM_CLOSED,
    )
    yield Check(
        "model AUC over the count baseline", f"{model - base:+.4f}", "above 0", model > base
    )


def _figures_of(told: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = told if "splits" in told else told["figures"]
    return found
