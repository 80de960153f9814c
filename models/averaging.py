"""The average of the latest weights, which validation and bundle take: it generalises better.

Tables of ids have averages of their own, see ``row_optimiser``; the rest is here.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from models.ctr_model import CtrModel
from models.layers import Dice
from models.processes import make_alike
from models.request_batches import RequestTensors
from models.samples import Ints


def table_names(model: CtrModel) -> set[str]:
    """Return the names of the weights of all tables of ids."""
    return {f"{name}.weight" for names in model.id_tables.values() for name in names}


class MovingAverage:
    """The averaged weights but those of the tables; the tensors of both models stay the same ones.

    Args:
        averaged: Where the average is kept.
        present: The model in training.
    """

    def __init__(self, averaged: CtrModel, present: CtrModel) -> None:
        # Collected once: to walk both models in every step costs as much as the optimiser.
        self._averaged, self._present = _dense(averaged), _dense(present)

    def move(self, share: float) -> None:
        """Move the average by a share of the way to the present."""
        with torch.no_grad():
            torch._foreach_lerp_(self._averaged, self._present, share)


def settle(averaged: CtrModel, tensors: RequestTensors, recent: Iterable[tuple[Ints, Any]]) -> None:
    """Measure the statistics of Dice anew with the averaged weights.

    Those that were averaged along belong to other weights, and to inputs with items and memories
    left out.

    Args:
        averaged: In evaluation form afterwards.
        tensors: The requests.
        recent: Requests of the latest steps, and the memory states that they read.
    """
    layers = [layer for layer in averaged.modules() if isinstance(layer, Dice)]
    device = averaged.item_table.weight.device
    usual = [layer.momentum for layer in layers]
    averaged.eval()
    for layer in layers:
        layer.train()
    with torch.no_grad():
        for k, (chosen, state) in enumerate(recent, start=1):
            for layer in layers:
                layer.momentum = 1.0 / k
            present = None if state is None else state.n_events > 0
            batch = tensors.batch(chosen)[0].to(device)
            averaged(batch, state, present)
    for layer, momentum in zip(layers, usual, strict=True):
        layer.momentum = momentum
        make_alike((layer.mean, layer.variance))
    averaged.eval()


def _dense(model: CtrModel) -> list[Tensor]:
    """Return the tensors of a model that are no tables of ids."""
    tables = table_names(model)
    return [
        tensor
        for name, tensor in model.state_dict().items()
        if name not in tables and tensor.is_floating_point()
    ]
