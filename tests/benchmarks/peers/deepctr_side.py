"""DeepCTR-Torch's DIN: its own training step on batches that are ready, or its ``fit``."""

import time
from collections.abc import Callable
from contextlib import redirect_stdout
from itertools import islice
from os import devnull
from typing import Any
from unittest.mock import patch

import torch
from samples_of_peers import ATTENTION, BATCH, MLP, WARM_STEPS, Batch, PeerSamples, PeerSizes

# When imported, the package asks the internet for its newest version, in a thread.
with patch("threading.Thread.start"):
    from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat, get_feature_names
    from deepctr_torch.models.din import DIN


def speed(samples: PeerSamples) -> float:
    """Return the samples a second with batches that are made before."""
    model, names = _model(samples.sizes)
    model.train()
    ready = [(torch.cat([_given(b)[name] for name in names], 1).float(), b[-1]) for b in
             samples.batches()]  # fmt: skip
    steps = iter(ready)
    for x, labels in islice(steps, WARM_STEPS):
        _step(model, x, labels)
    began, n = time.perf_counter(), 0
    for x, labels in steps:
        _step(model, x, labels)
        n += len(labels)
    return n / (time.perf_counter() - began)


def scorer(sizes: PeerSizes) -> Callable[[Batch], Callable[[], object]]:
    """Return what makes of columns a call that scores them, by a DIN of random weights."""
    model, names = _model(sizes)
    model.eval()

    def prepare(columns: Batch) -> Callable[[], object]:
        x = torch.cat([_given(columns)[name] for name in names], 1).float()
        return lambda: model(x)

    return prepare


def speed_of_fit(samples: PeerSamples) -> float:
    """Return the samples a second of ``fit``, which loads and trains in one process."""
    model, names = _model(samples.sizes)
    _fit(model, names, samples.first(WARM_STEPS * BATCH))
    began = time.perf_counter()
    _fit(model, names, samples)
    return len(samples.chosen) / (time.perf_counter() - began)


def _fit(model: Any, names: list[str], samples: PeerSamples) -> None:
    given = _given(samples.columns)
    x = {name: given[name].numpy() for name in names}
    with open(devnull, "w") as nowhere, redirect_stdout(nowhere):
        model.fit(x, samples.columns[-1].numpy(), batch_size=BATCH, epochs=1, verbose=0)


def _step(model: Any, x: torch.Tensor, labels: torch.Tensor) -> None:
    """Take the step that ``fit`` takes."""
    model.optim.zero_grad()
    loss = model.loss_func(model(x).squeeze(-1), labels, reduction="sum")
    (loss + model.get_regularization_loss()).backward()
    model.optim.step()


def _given(batch: Batch) -> dict[str, torch.Tensor]:
    items, categories, mask, item, category, _ = batch
    return {
        "item": item, "category": category, "hist_item": items, "hist_category": categories,
        "seq_length": mask.sum(1, keepdim=True),
    }  # fmt: skip


def _model(sizes: PeerSizes) -> tuple[Any, list[str]]:
    columns: list[Any] = [
        SparseFeat(name, n, embedding_dim=sizes.dim) for name, n in sizes.n_rows.items()
    ]
    columns += [
        VarLenSparseFeat(
            SparseFeat(f"hist_{name}", n, embedding_dim=sizes.dim, embedding_name=name),
            maxlen=sizes.length,
            length_name="seq_length",
        )
        for name, n in sizes.n_rows.items()
    ]
    model = DIN(
        columns, list(sizes.n_rows), dnn_hidden_units=MLP, att_hidden_size=ATTENTION,
        device="cpu", att_activation="sigmoid", l2_reg_embedding=0.0,
    )  # fmt: skip
    model.compile("adam", "binary_crossentropy")
    return model, get_feature_names(columns)
