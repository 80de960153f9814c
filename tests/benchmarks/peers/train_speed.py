"""Training speed beside FuxiCTR and DeepCTR-Torch: samples a second on the same samples and sizes.

``make bench-peers`` runs it in an environment of its own, which has the peers. All take turns, so
that what else the machine does meets all alike. Ours is a whole part of an epoch, batches made from
the tables and memories scanned within the measured time. A peer is measured twice: with batches
that are ready before, and as it trains by itself, with its own loader. Sizes: see
``samples_of_peers``.
"""

import argparse
import json
import logging
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import deepctr_side
import fuxictr_side
import numpy as np
import ours
import samples_of_peers
import torch
from rich.console import Console
from rich.table import Table
from samples_of_peers import ATTENTION, BATCH, DIM, MLP, WARM_STEPS, PeerSamples, read_tables

#: Each of ours, and what it is compared with.
RIVALS = {
    "DIN, 20 behaviors": [
        "FuxiCTR DIN, 20, batches ready",
        "FuxiCTR DIN, 20, its loader",
        "DeepCTR-Torch DIN, 20, batches ready",
        "DeepCTR-Torch DIN, 20, its fit",
    ],
    "DIEN, 20 behaviors": ["FuxiCTR DIEN, 20, batches ready", "FuxiCTR DIEN, 20, its loader"],
    "DIN+MIMN, whole histories": [
        "FuxiCTR DIN, 100, batches ready",
        "FuxiCTR DIN, 100, its loader",
    ],
    "DIN+HPMN, whole histories": [
        "FuxiCTR DIN, 100, batches ready",
        "FuxiCTR DIN, 100, its loader",
    ],
}

Contenders = dict[str, Callable[[], float]]


def contenders(tables: Path, n_steps: int, folder: Path) -> Contenders:
    """Return what measures each contender once, by name."""
    data = read_tables(tables)
    n = n_steps + WARM_STEPS
    short, long = PeerSamples.of(data, 20, n), PeerSamples.of(data, 100, n)
    fuxictr, of_loader = fuxictr_side.speed, fuxictr_side.speed_of_loader
    return {
        "DIN, 20 behaviors": lambda: ours.speed(data, "din", n_steps),
        "FuxiCTR DIN, 20, batches ready": lambda: fuxictr(short, "DIN", folder),
        "FuxiCTR DIN, 20, its loader": lambda: of_loader(short, "DIN", folder),
        "DeepCTR-Torch DIN, 20, batches ready": lambda: deepctr_side.speed(short),
        "DeepCTR-Torch DIN, 20, its fit": lambda: deepctr_side.speed_of_fit(short),
        "DIEN, 20 behaviors": lambda: ours.speed(data, "dien", n_steps),
        "FuxiCTR DIEN, 20, batches ready": lambda: fuxictr(short, "DIEN", folder),
        "FuxiCTR DIEN, 20, its loader": lambda: of_loader(short, "DIEN", folder),
        "DIN+MIMN, whole histories": lambda: ours.speed(data, "din+mimn", n_steps),
        "DIN+HPMN, whole histories": lambda: ours.speed(data, "din+hpmn", n_steps),
        "FuxiCTR DIN, 100, batches ready": lambda: fuxictr(long, "DIN", folder),
        "FuxiCTR DIN, 100, its loader": lambda: of_loader(long, "DIN", folder),
    }


def three(values: list[float]) -> dict[str, float]:
    """Return the least, the middle and the largest value."""
    return dict(zip(("min", "median", "max"), np.quantile(values, (0, 0.5, 1)), strict=True))


def run_all(chosen: Contenders, runs: int) -> dict[str, object]:
    """Let all take turns; return speeds and ratios of one round, each over the rounds."""
    speeds: dict[str, list[float]] = {name: [] for name in chosen}
    for k in range(runs):
        for name, measure in chosen.items():
            speeds[name].append(measure())
            print(f"{k + 1}/{runs} {name}: {speeds[name][-1]:,.0f}", file=sys.stderr)  # noqa: T201
    ratios = {
        f"{name} / {rival}": three(list(np.divide(speeds[name], speeds[rival])))
        for name, rivals in RIVALS.items()
        for rival in rivals
        if name in speeds and rival in speeds
    }
    return {
        "runs": runs,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "sizes": {"batch": BATCH, "embedding": DIM, "attention": ATTENTION, "mlp": MLP},
        "samples_per_second": {name: three(found) for name, found in speeds.items()},
        "ratios": ratios,
    }


FORMS = (("samples_per_second", "{:,.0f}"), ("ratios", "{:.2f}"))


def show(found: dict[str, object], forms: tuple[tuple[str, str], ...] = FORMS) -> None:
    """Print the figures as tables."""
    console = Console(width=100)
    for title, form in forms:
        table = Table(title=title.replace("_", " "), title_justify="left")
        for heading in ("", "min", "median", "max"):
            table.add_column(heading, justify="right" if heading else "left")
        rows = found[title]
        assert isinstance(rows, dict)
        for name, figures in rows.items():
            table.add_row(name, *(form.format(value) for value in figures.values()))
        console.print(table)


def main() -> None:
    """Measure on the tables that ``uic convert movielens`` made."""
    parser = argparse.ArgumentParser(description=samples_of_peers.__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".uic/tables/movielens"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30, help="of each contender in a run")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="contenders with this in their name")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if not (given.folder / "samples.parquet").exists():
        parser.error(
            f"no tables in {given.folder}: make them with "
            f"uic convert movielens --data DIR --out {given.folder}"
        )
    logging.disable(logging.INFO)
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder:
        every = contenders(given.folder, given.steps, Path(folder))
        chosen = {name: run for name, run in every.items() if given.only in name}
        found = run_all(chosen, given.runs)
    if given.json:
        print(json.dumps(found, indent=2))  # noqa: T201
    else:
        show(found)


if __name__ == "__main__":
    main()
