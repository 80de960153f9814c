"""Training speed beside FuxiCTR and DeepCTR-Torch: samples a second on the same samples and sizes.

``make bench-peers`` runs it in an environment that has the peers. One run of a model is so many
steps of the optimiser, each on a batch of its own; models take turns, so that what else the machine
does meets all alike. Peers are given their batches as tensors that are ready; ours makes its own
from the tables within the measured time.

Sizes: behaviors 20 (or 100), batch 1,024, item and category embeddings of 16 each, attention
(64), MLP (512, 64), no user id. A peer's optimiser is its own Adam; FuxiCTR clips gradients as ours
does.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interest_center.core.layout import load_state_config
from models.recipe import Recipe
from models.samples import PointInTime, point_in_time
from models.tables import read_events, read_samples
from models.training import Trainer
from models.training_options import Progress
from models.training_order import epoch_parts
from models.training_vocabulary import make_vocabulary

BATCH = 1024
DIM = 16
ATTENTION = 64
MLP = (512, 64)
WARM_STEPS = 3

Steps = Iterator[int]


def our_steps(data: PointInTime, model: str, **values: Any) -> Steps:
    """Train one of our models; yield the samples of each step."""
    sizes = {
        "history_length": 20,
        "item_dim": DIM,
        "category_dim": DIM,
        "mlp_hidden": list(MLP),
        "trigger": "none",
        "n_pages": 0,
        "activity": False,
        "typed": False,
        "requests_at_once": BATCH,
    }
    config, options = Recipe(model, sizes | values).configs(data.state)
    trainer = Trainer(data, make_vocabulary(data, config), config, options)
    rng = np.random.default_rng(0)
    parts = epoch_parts(trainer.train_requests, trainer._grouping(), options.part_size, rng)
    trainer._loss.train()
    for _, n_samples, _ in trainer._part(parts[0], Progress()):
        yield n_samples


class PeerBatches:
    """Batches of the training samples as padded rows, made before anything is measured."""

    def __init__(self, data: PointInTime, length: int, n_batches: int) -> None:
        config, options = Recipe("din", {"history_length": length}).configs(data.state)
        trainer = Trainer(data, make_vocabulary(data, config), config, options)
        self.rows = trainer.vocabulary.table_rows
        order = np.random.default_rng(0).permutation(trainer.train_requests)
        self.batches = []
        for k in range(n_batches):
            batch, labels = trainer.tensors.batch(order[k * BATCH : (k + 1) * BATCH])
            done, missing = batch.behaviors, length - batch.behaviors.items.shape[1]
            padded = [
                torch.nn.functional.pad(column, (0, missing))
                for column in (done.items, done.categories, done.mask)
            ]
            self.batches.append(
                (*padded, batch.candidate_items[:, :1], batch.candidate_categories[:, :1], labels)
            )


def fuxictr_steps(batches: PeerBatches, name: str, folder: Path, **options: Any) -> Steps:
    """Train a model of FuxiCTR; yield the samples of each step."""
    from fuxictr.features import FeatureMap

    feature_map = FeatureMap("bench", str(folder))
    rows = {"item": batches.rows.items, "category": batches.rows.categories}
    for field, n_rows in rows.items():
        feature_map.features[field] = {
            "type": "categorical", "source": "item", "vocab_size": n_rows, "padding_idx": 0,
            "embedding_dim": DIM,
        }  # fmt: skip
    feature_map.labels = ["label"]
    feature_map.num_fields, feature_map.total_features = 2, sum(rows.values())
    module = __import__(f"model_zoo.LongCTR.{name}.{name}", fromlist=[name])
    model = getattr(module, name)(
        feature_map, gpu=-1, dnn_hidden_units=list(MLP), embedding_dim=DIM, optimizer="adam",
        loss="binary_crossentropy", metrics=["AUC"], verbose=0, model_root=str(folder), **options,
    )  # fmt: skip
    model._max_gradient_norm = 10.0
    model._batch_index = 0
    model.train()
    for items, categories, mask, item, category, labels in batches.batches:
        shown = {
            "item": torch.cat((items, item), 1).reshape(-1),
            "category": torch.cat((categories, category), 1).reshape(-1),
        }
        model.train_step(({"label": labels}, shown, mask.float()))
        yield len(labels)


def deepctr_steps(batches: PeerBatches, length: int) -> Steps:
    """Train the DIN of DeepCTR-Torch; yield the samples of each step."""
    from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat, get_feature_names
    from deepctr_torch.models.din import DIN

    rows = {"item": batches.rows.items, "category": batches.rows.categories}
    columns: list[Any] = [SparseFeat(name, n, embedding_dim=DIM) for name, n in rows.items()]
    columns += [
        VarLenSparseFeat(
            SparseFeat(f"hist_{name}", n, embedding_dim=DIM, embedding_name=name),
            maxlen=length,
            length_name="seq_length",
        )
        for name, n in rows.items()
    ]
    model = DIN(
        columns, list(rows), dnn_hidden_units=MLP, att_hidden_size=(ATTENTION,), device="cpu",
        att_activation="sigmoid", l2_reg_embedding=0.0,
    )  # fmt: skip
    model.compile("adam", "binary_crossentropy")
    model.train()
    names = get_feature_names(columns)
    for items, categories, mask, item, category, labels in batches.batches:
        given = {
            "item": item, "category": category, "hist_item": items, "hist_category": categories,
            "seq_length": mask.sum(1, keepdim=True),
        }  # fmt: skip
        x = torch.cat([given[name] for name in names], 1).float()
        model.optim.zero_grad()
        loss = model.loss_func(model(x).squeeze(), labels, reduction="sum")
        (loss + model.get_regularization_loss()).backward()
        model.optim.step()
        yield len(labels)


def samples_per_second(steps: Steps, n_steps: int) -> float:
    """Return the speed of some steps, after a few that are not measured."""
    for _ in range(WARM_STEPS):
        next(steps)
    began, n = time.perf_counter(), 0
    for _ in range(n_steps):
        n += next(steps)
    return n / (time.perf_counter() - began)


def compare(
    contenders: dict[str, Callable[[], Steps]], rivals: dict[str, str], runs: int, n_steps: int
) -> None:
    """Run all in turns and print speeds and ratios: minimum, median, maximum of the runs."""
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, make in contenders.items():
            speeds[name].append(samples_per_second(make(), n_steps))
    for name, found in speeds.items():
        print(f"{name:34} {_three(found, '{:,.0f}')} samples/s")  # noqa: T201
    for name, rival in rivals.items():
        ratios = [a / b for a, b in zip(speeds[name], speeds[rival], strict=True)]
        print(f"{name} / {rival}: {_three(ratios, '{:.2f}')}")  # noqa: T201


def _three(values: list[float], form: str) -> str:
    return " / ".join(form.format(value) for value in np.quantile(values, (0, 0.5, 1)))


def main() -> None:
    """Measure on the MovieLens tables that ``uic convert movielens`` made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, required=True, help="of uic convert movielens")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path(os.devnull).parent / "shm")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    state = load_state_config(given.tables / "state.json")
    events = read_events(given.tables / "events.parquet", state)
    data = point_in_time(events, read_samples(given.tables / "samples.parquet"), state)
    n = given.steps + WARM_STEPS
    short, long = PeerBatches(data, 20, n), PeerBatches(data, 100, n)
    attention = {"attention_hidden_units": [ATTENTION]}
    hidden = {"reader.hidden": [ATTENTION, 16]}
    contenders: dict[str, Callable[[], Steps]] = {
        "DIN, 20 behaviors": lambda: our_steps(data, "din", **hidden),
        "FuxiCTR DIN, 20": lambda: fuxictr_steps(short, "DIN", given.folder, **attention),
        "DeepCTR-Torch DIN, 20": lambda: deepctr_steps(short, 20),
        "DIEN, 20": lambda: our_steps(data, "dien", history_length=20, restart_every=10),
        "FuxiCTR DIEN, 20": lambda: fuxictr_steps(short, "DIEN", given.folder),
        "DIN+MIMN, whole histories": lambda: our_steps(data, "din+mimn", **hidden),
        "DIN+HPMN, whole histories": lambda: our_steps(data, "din+hpmn", **hidden),
        "FuxiCTR DIN, 100": lambda: fuxictr_steps(long, "DIN", given.folder, **attention),
    }
    rivals = {
        "DIN, 20 behaviors": "FuxiCTR DIN, 20",
        "DIEN, 20": "FuxiCTR DIEN, 20",
        "DIN+MIMN, whole histories": "FuxiCTR DIN, 100",
        "DIN+HPMN, whole histories": "FuxiCTR DIN, 100",
    }
    compare(contenders, rivals, given.runs, given.steps)


if __name__ == "__main__":
    main()
