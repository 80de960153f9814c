"""Scoring beside FuxiCTR and DeepCTR-Torch: one user against N candidates, on one core.

``make bench-scoring`` runs it in an environment of its own, which has the peers. All take turns, on
the same requests: another user for every request, with so many behaviors. Two things are timed:

* *from ids*: the whole of ``Ranker.score``, from ids to probabilities. A peer, which brings no
  such thing, has its ids looked up by our vocabulary and the history repeated for each candidate,
  as its layers want it;
* *rows ready*: the forward of the model alone, on tensors that are ready.

*Straightforward* is our own model in plain torch, rows ready, the history repeated.

Beside them stand the products of matrices that the same unit and MLP are made of, by themselves.
Sizes are those of DIN's published code: embeddings of 18 for item and category, attention 80 and 40
with sigmoids, MLP 200 and 80.
"""

import argparse
import json
import logging
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import deepctr_side
import fuxictr_side
import numpy as np
import torch
from samples_of_peers import PeerSizes
from torch import Tensor
from train_speed import show, three

from interest_center.core.layout import StateConfig
from models.ctr_model import CtrModel
from models.inputs import RankInputs
from models.ranker import Ranker
from models.recipe import Recipe
from models.registry import load_class, memory_model
from models.request_rows import BehaviorRows, RequestBatch
from models.vocabulary import Vocabulary

DIM, ATTENTION, MLP = 18, (80, 40), (200, 80)
N_ITEMS, N_CATEGORIES = 100_000, 1_000
NOW_MS = 1_767_225_600_000
#: Candidates, behaviors.
SHAPES = ((100, 20), (100, 100), (1_000, 100), (100, 1_000))
MODELS = ("din", "dien", "dei2n", "din+mimn", "din+hpmn")
#: Rows of one product of matrices: what fits the cache best.
TILE_ROWS = 2_048
#: Where a compiled way may be taken; without it they are plain torch.
COMPILED = ("models.din", "models.time_attention", "models.recurrent")

Contenders = dict[str, Callable[[], None]]


class Ours:
    """One of our models with random weights, as a ranker.

    Args:
        name: Of the model.
        n_behaviors: That it sees.
    """

    def __init__(self, name: str, n_behaviors: int) -> None:
        items = np.arange(1, N_ITEMS + 1, dtype=np.uint64)
        self.vocabulary = Vocabulary.from_pairs(items, items % N_CATEGORIES + 1)
        sizes = {
            "history_length": n_behaviors, "item_dim": DIM, "category_dim": DIM,
            "mlp_hidden": list(MLP), "activation": "prelu",
        }  # fmt: skip
        if name.startswith("din"):
            sizes |= {
                "reader.hidden": list(ATTENTION), "reader.types": False, "reader.n_ages": 0,
                "reader.same": False, "reader.product": False, "trigger": "none",
                "activity": False, "typed": False, "n_pages": 0,
            }  # fmt: skip
        # A recurrent reader may see more than its length.
        state = StateConfig(n_behaviors=2 * n_behaviors)
        config, _ = Recipe(name, sizes).configs(state)
        torch.manual_seed(0)
        self.ranker = Ranker(CtrModel(config, self.vocabulary.table_rows), self.vocabulary)
        self.updater = None
        if config.memory is not None:
            model = memory_model(config.memory)
            values = load_class(model.config).from_dict(config.memory_config)
            tensors = {n: t.numpy() for n, t in self.ranker.model.state_dict().items()}
            self.updater = load_class(model.updater)(values, self.vocabulary, tensors)

    def requests(self, n_candidates: int, n_behaviors: int, n: int) -> list[RankInputs]:
        """Return requests of ``n`` users, each with a memory of its own if there is one."""
        rng = np.random.default_rng(1)
        return [self._request(rng, n_candidates, n_behaviors) for _ in range(n)]

    def _request(self, rng: np.random.Generator, n_candidates: int, n_behaviors: int) -> RankInputs:
        done = rng.choice(self.vocabulary.items, n_behaviors)
        categories = done % N_CATEGORIES + 1
        memory = None
        if self.updater is not None:
            rows = self.updater.initial_row()[None].copy()
            self.updater.update_many(rows, np.zeros(len(done), np.int64), done, categories)
            memory = rows[0]
        return RankInputs(
            behavior_items=done,
            behavior_categories=categories,
            behavior_types=np.ones(n_behaviors, np.uint8),
            behavior_times_ms=NOW_MS - 60_000 * np.arange(n_behaviors, 0, -1),
            memory=memory,
            candidate_items=rng.choice(self.vocabulary.items, n_candidates, replace=False),
            candidate_categories=np.zeros(n_candidates, np.uint64),
            time_ms=NOW_MS,
            page=1,
            trigger_item=int(done[-1]),
            n_behaviors=n_behaviors,
        )

    def score(self, inputs: RankInputs) -> None:
        """Score a request."""
        self.ranker.score(inputs)

    def rows_ready(self, inputs: RankInputs) -> Callable[[], Tensor]:
        """Return a forward on ready tensors."""
        batch, state, present = self._laid_out(inputs)
        return lambda: torch.sigmoid(self.ranker.model(batch, state, present).logits)

    def straightforward(self, inputs: RankInputs) -> Callable[[], Tensor]:
        """Return a forward with the history repeated for each candidate, on ready tensors."""
        batch, state, present = self._laid_out(inputs)
        n = batch.candidate_items.shape[1]
        repeated = _repeated(batch, n)
        if state is not None:
            state = type(state)(*(part.expand(n, *part.shape[1:]) for part in state))
            present = None if present is None else present.expand(n)
        return lambda: self.ranker.model(repeated, state, present).logits

    def _laid_out(self, inputs: RankInputs) -> tuple[RequestBatch, Any, Tensor | None]:
        batch = self.ranker._layout.lay_out([inputs]).batch
        return batch, *self.ranker._memories([inputs])


def _repeated(batch: RequestBatch, n: int) -> RequestBatch:
    """Return the request as ``n`` requests of one candidate each."""
    given = {}
    for name, value in batch._asdict().items():
        if name.startswith("candidate_"):
            given[name] = value.reshape(n, 1).contiguous()
        elif isinstance(value, BehaviorRows):
            given[name] = BehaviorRows(*(one.repeat_interleave(n, 0) for one in value))
        elif isinstance(value, Tensor):
            given[name] = value.repeat_interleave(n, 0)
        else:
            given[name] = value
    return batch._replace(**given)


@contextmanager
def plain_torch() -> Iterator[None]:
    """Take no compiled way."""
    patches = [patch(f"{module}.is_compiled", lambda _: False) for module in COMPILED]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


def products(n_candidates: int, n_behaviors: int, width: int) -> Callable[[], None]:
    """Return the products of matrices that DIN's unit and MLP are made of, in good sizes."""
    d, (h, g) = 2 * DIM, ATTENTION
    rows = n_candidates * n_behaviors
    sizes = [(rows, d, h), (rows, h, g), (rows, g, 1), (n_candidates, width, MLP[0])]
    sizes += [(n_candidates, MLP[0], MLP[1]), (n_candidates, MLP[1], 1)]
    pieces = []
    for m, k, n in sizes:
        tile = min(m, TILE_ROWS)
        pieces.append((m / tile, torch.randn(tile, k), torch.randn(k, n), torch.empty(tile, n)))

    def run() -> None:
        for times, left, right, out in pieces:
            for _ in range(max(1, round(times))):
                torch.mm(left, right, out=out)

    return run


def contenders(shape: tuple[int, int], n_requests: int, folder: Path) -> Contenders:
    """Return what scores each request once, by name."""
    n_candidates, n_behaviors = shape
    every: Contenders = {}
    for name in MODELS:
        ours = Ours(name, n_behaviors)
        requests = ours.requests(n_candidates, n_behaviors, n_requests)
        plain = [ours.straightforward(one) for one in requests]
        every[name] = _all([lambda one=one, ours=ours: ours.score(one) for one in requests])
        every[f"{name}, rows ready"] = _all([ours.rows_ready(one) for one in requests])
        every[f"{name}, straightforward"] = _plainly(_all(plain))
        if name == "din":
            sizes = PeerSizes.of(ours.vocabulary, n_behaviors, DIM)
            peers = {
                "FuxiCTR DIN": fuxictr_side.scorer(sizes, folder),
                "DeepCTR-Torch DIN": deepctr_side.scorer(sizes),
            }
            for rival, prepare in peers.items():
                every[rival] = _all([
                    lambda one=one, ours=ours, prepare=prepare: prepare(peer_columns(ours, one))()
                    for one in requests
                ])  # fmt: skip
                ready = [prepare(peer_columns(ours, one)) for one in requests]
                every[f"{rival}, rows ready"] = _all(ready)
            width = ours.ranker.model.mlp[0].in_features
            every["products of matrices"] = _all(
                [products(n_candidates, n_behaviors, width)] * n_requests
            )
    return every


def peer_columns(ours: Ours, inputs: RankInputs) -> tuple[Tensor, ...]:
    """Return a request as the peers take it: the history repeated for each candidate."""
    n = len(inputs.candidate_items)
    done = ours.vocabulary.look_up(inputs.behavior_items, inputs.behavior_categories)
    shown = ours.vocabulary.look_up(inputs.candidate_items, inputs.candidate_categories)
    items, categories = (
        torch.from_numpy(own).expand(n, -1).contiguous() for own in (done.items, done.categories)
    )
    item, category = (torch.from_numpy(o).unsqueeze(1) for o in (shown.items, shown.categories))
    mask = torch.ones_like(items, dtype=torch.bool)
    return items, categories, mask, item, category, torch.zeros(n)


def _all(calls: list[Callable[[], object]]) -> Callable[[], None]:
    def run() -> None:
        with torch.inference_mode():
            for call in calls:
                call()

    return run


def _plainly(run: Callable[[], None]) -> Callable[[], None]:
    def plain() -> None:
        with plain_torch():
            run()

    return plain


def measure(run: Callable[[], None], n_requests: int) -> float:
    """Return milliseconds of a request."""
    began = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - began) / n_requests


def run_all(runs: int, n_requests: int, folder: Path) -> dict[str, object]:
    """Let all take turns at each shape; return times, and ratios of one round over the rounds."""
    times: dict[str, dict[str, float]] = {}
    ratios: dict[str, dict[str, float]] = {}
    for shape in SHAPES:
        label = f"{shape[0]} x {shape[1]}"
        every = contenders(shape, n_requests, folder)
        found: dict[str, list[float]] = {name: [] for name in every}
        for run in every.values():  # What compiles and caches is behind it then.
            run()
        for number in range(runs):
            for name, run in every.items():
                found[name].append(measure(run, n_requests))
                said = f"{number + 1}/{runs} {label} {name}: {found[name][-1]:.2f} ms"
                print(said, file=sys.stderr)  # noqa: T201
        times |= {f"{name}, {label}": three(values) for name, values in found.items()}
        for how in ("", ", rows ready"):
            for rival in ("FuxiCTR DIN", "DeepCTR-Torch DIN"):
                name = f"{rival} / din{how}, {label}"
                ratios[name] = _ratio(found[f"{rival}{how}"], found[f"din{how}"])
        ratios[f"din, rows ready / products of matrices, {label}"] = _ratio(
            found["din, rows ready"], found["products of matrices"]
        )
        for name in MODELS:
            ratios[f"{name}, straightforward / rows ready, {label}"] = _ratio(
                found[f"{name}, straightforward"], found[f"{name}, rows ready"]
            )
    return {
        "runs": runs,
        "threads": torch.get_num_threads(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "sizes": {"embedding": 2 * DIM, "attention": ATTENTION, "mlp": MLP},
        "milliseconds": times,
        "ratios": ratios,
    }


def _ratio(above: list[float], below: list[float]) -> dict[str, float]:
    return three(list(np.divide(above, below)))


def main() -> None:
    """Measure on random requests and weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--requests", type=int, default=10, help="of each contender in a run")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        found = run_all(given.runs, given.requests, Path(folder))
    if given.json:
        print(json.dumps(found, indent=2))  # noqa: T201
    else:
        show(found, (("milliseconds", "{:,.2f}"), ("ratios", "{:.2f}")))


if __name__ == "__main__":
    main()
