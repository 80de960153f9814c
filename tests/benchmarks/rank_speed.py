"""How long the scoring of one request takes: the model's part of a ranking, no network.

A request is a user with so many recent behaviors and a memory, and so many candidates; the
figures of `uic ranker` come on top of it.
"""

import tempfile
from pathlib import Path

import click
import numpy as np
import torch
from measure import Benchmark

from models.bundle import Bundle, load_bundle, untrained_bundle
from models.inputs import RankInputs
from models.vocabulary import Vocabulary

N_ITEMS = 100_000
NOW_MS = 1_767_225_600_000
CANDIDATES = (1, 10, 100, 1_000)


def random_bundle() -> Bundle:
    """Return DIN with MIMN of random weights: as fast as a trained one."""
    items = np.arange(1, N_ITEMS + 1, dtype=np.uint64)
    with tempfile.TemporaryDirectory() as directory:
        vocabulary = Vocabulary.from_pairs(items, items % 1_000 + 1)
        untrained_bundle(Path(directory), vocabulary=vocabulary)
        return load_bundle(Path(directory))


def make_requests(
    bundle: Bundle, n_behaviors: int, n_candidates: int, n_requests: int
) -> list[RankInputs]:
    """Return requests of different users, each with a memory of its behaviors."""
    rng = np.random.default_rng(3)
    known = bundle.vocabulary.items
    requests = []
    for _ in range(n_requests):
        items, candidates = rng.choice(known, n_behaviors), rng.choice(known, n_candidates)
        nothing = np.zeros(n_behaviors, np.uint64)
        memory = None
        if bundle.updater is not None:
            rows = bundle.updater.initial_row()[None].copy()
            row_index = np.zeros(n_behaviors, np.int64)
            bundle.updater.update_many(rows, row_index, items, nothing)
            memory = rows[0]
        requests.append(
            RankInputs(
                behavior_items=items,
                behavior_categories=nothing,
                behavior_types=np.ones(n_behaviors, np.uint8),
                behavior_times_ms=NOW_MS - 60_000 * np.arange(n_behaviors, 0, -1),
                memory=memory,
                candidate_items=candidates,
                candidate_categories=np.zeros(n_candidates, np.uint64),
                time_ms=NOW_MS,
                page=1,
            )
        )
    return requests


@click.command()
@click.option("--bundle", "directory", type=click.Path(path_type=Path), help="A trained bundle.")
@click.option("--behaviors", default=100, show_default=True, help="Recent behaviors of a user.")
@click.option("--requests", default=100, show_default=True, help="Requests of one run.")
@click.option("--threads", default=1, show_default=True, help="Threads of torch.")
@click.option("--runs", default=5, show_default=True, help="Runs of each figure.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line a figure.")
def main(
    directory: Path | None, behaviors: int, requests: int, threads: int, runs: int, as_json: bool
) -> None:
    """Measure `Ranker.score`, request by request."""
    torch.set_num_threads(threads)
    bundle = random_bundle() if directory is None else load_bundle(directory)
    title = f"{bundle.name}, {behaviors} behaviors, {requests} requests a run, {threads} thread(s)"
    benchmark = Benchmark(title, runs)
    for n_candidates in CANDIDATES:
        inputs = make_requests(bundle, behaviors, n_candidates, requests)

        def score(inputs: list[RankInputs] = inputs) -> None:
            for request in inputs:
                bundle.ranker.score(request)

        benchmark.duration(f"score {n_candidates:,} candidates", requests, score)
    benchmark.show(as_json)


if __name__ == "__main__":
    main()
