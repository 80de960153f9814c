"""FuxiCTR's DIN and DIEN for long sequences: its own training step, batches ready or by its loader.

Adam with its clipped gradients; its DIEN is an AUGRU with bilinear attention and has no auxiliary
loss.
"""

import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from fuxictr.features import FeatureMap
from model_zoo.LongCTR.DIEN.DIEN import DIEN
from model_zoo.LongCTR.DIN.DIN import DIN
from model_zoo.LongCTR.longctr_dataloader import LongCTRDataLoader
from samples_of_peers import ATTENTION, BATCH, MLP, WARM_STEPS, Batch, PeerSamples, PeerSizes

#: What ``fit`` sets where nothing is said.
_LARGEST_GRADIENT = 10.0


def speed(samples: PeerSamples, name: str, folder: Path) -> float:
    """Return the samples a second with batches that are made before."""
    feature_map = _feature_map(samples.sizes, folder)
    return _measured(_model(feature_map, name, folder), [_shown(b) for b in samples.batches()])


def speed_of_loader(samples: PeerSamples, name: str, folder: Path) -> float:
    """Return the samples a second with its loader, which has a process of its own."""
    feature_map = _feature_map(samples.sizes, folder)
    _write(samples, folder)
    loader = LongCTRDataLoader(
        feature_map, str(folder / "samples.parquet"), str(folder / "users.parquet"),
        str(folder / "items.parquet"), batch_size=BATCH, shuffle=True, num_workers=1,
        max_len=samples.length,
    )  # fmt: skip
    return _measured(_model(feature_map, name, folder), loader)


def scorer(sizes: PeerSizes, folder: Path) -> Callable[[Batch], Callable[[], object]]:
    """Return what makes of columns a call that scores them, by a DIN of random weights."""
    model = _model(_feature_map(sizes, folder), "DIN", folder).eval()

    def prepare(columns: Batch) -> Callable[[], object]:
        shown = _shown(columns)
        return lambda: model(shown)

    return prepare


def _measured(model: Any, batches: Iterable[Any]) -> float:
    model.train()
    steps = iter(batches)
    for batch in islice(steps, WARM_STEPS):
        model.train_step(batch)
    began, n = time.perf_counter(), 0
    for batch in steps:
        model.train_step(batch)
        n += len(batch[2])
    return n / (time.perf_counter() - began)


def _feature_map(sizes: PeerSizes, folder: Path) -> Any:
    feature_map = FeatureMap("samples", str(folder))
    for field, n_rows in sizes.n_rows.items():
        feature_map.features[field] = {
            "type": "categorical", "source": "item", "vocab_size": n_rows, "padding_idx": 0,
            "embedding_dim": sizes.dim,
        }  # fmt: skip
    for field in ("user_index", "seq_len", "item_index"):
        feature_map.features[field] = {"type": "meta"}
    feature_map.labels = ["label"]
    feature_map.num_fields, feature_map.total_features = 2, sum(sizes.n_rows.values())
    return feature_map


def _model(feature_map: Any, name: str, folder: Path) -> Any:
    given: dict[str, Any] = {
        "gpu": -1, "dnn_hidden_units": list(MLP), "optimizer": "adam",
        "embedding_dim": feature_map.features["item"]["embedding_dim"],
        "loss": "binary_crossentropy", "metrics": ["AUC"], "verbose": 0, "model_root": str(folder),
        "batch_norm": False,
    }  # fmt: skip
    if name == "DIN":
        attention = {
            "attention_hidden_units": list(ATTENTION), "attention_hidden_activations": "sigmoid"
        }  # fmt: skip
        model = DIN(feature_map, **given, **attention)
    else:
        model = DIEN(feature_map, **given)
    model._max_gradient_norm, model._batch_index = _LARGEST_GRADIENT, 0
    return model


def _shown(batch: Batch) -> tuple[dict[str, Any], dict[str, Any], torch.Tensor]:
    items, categories, mask, item, category, labels = batch
    shown = {
        "item": torch.cat((items, item), 1).reshape(-1),
        "category": torch.cat((categories, category), 1).reshape(-1),
    }
    return {"label": labels}, shown, mask.float()


def _write(samples: PeerSamples, folder: Path) -> None:
    """Write the samples as its loader reads them: whole histories, and how much each sees."""
    data, chosen, known = samples.data, samples.chosen, samples.vocabulary
    requests, ring = data.requests, data.ring
    asked = requests.items[requests.starts[chosen]]
    ids = np.union1d(ring.items, asked)
    items = {
        "item": known.item_rows(ids), "category": known.category_rows(ids, np.zeros_like(ids))
    }  # fmt: skip
    # The first row is padding.
    table = {name: np.concatenate((np.zeros(1, np.int64), rows)) for name, rows in items.items()}
    numbers = {"item_index": np.arange(len(ids) + 1)}
    pd.DataFrame(numbers | table).to_parquet(folder / "items.parquet")
    histories = np.split(np.searchsorted(ids, ring.items) + 1, ring.starts[1:-1])
    pd.DataFrame({"full_item_seq": histories}).to_parquet(folder / "users.parquet")
    shown = {
        "user_index": requests.users[chosen],
        "seq_len": requests.ring_positions[chosen],
        "item_index": np.searchsorted(ids, asked) + 1,
        "label": requests.labels[requests.starts[chosen]].astype(np.int64),
    }
    pd.DataFrame(shown).to_parquet(folder / "samples.parquet")
