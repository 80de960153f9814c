"""Averaged weights: moved by their formula, and ready to be scored with."""

from dataclasses import replace

import numpy as np
import torch
from small_logs import make_small_log

from interest_center.core.layout import StateConfig
from models.averaging import MovingAverage, settle, table_names
from models.ctr_config import default_config
from models.ctr_model import CtrModel
from models.layers import Dice
from models.request_batches import RequestTensors
from models.samples import point_in_time
from models.training_vocabulary import make_vocabulary


def make_model(seed: int) -> tuple[CtrModel, RequestTensors]:
    data = point_in_time(*make_small_log(), StateConfig())
    config = replace(default_config("din", 7, history_length=10), mlp_hidden=(8, 4))
    vocabulary = make_vocabulary(data, config)
    torch.manual_seed(seed)
    return CtrModel(config, vocabulary.table_rows), RequestTensors(data, vocabulary, config)


def test_all_but_the_tables_moves_by_its_share() -> None:
    (averaged, _), (present, _) = make_model(1), make_model(2)
    before = {name: tensor.clone() for name, tensor in averaged.state_dict().items()}
    goal = present.state_dict()
    MovingAverage(averaged, present).move(0.25)
    tables = table_names(averaged)
    assert "item_table.weight" in tables
    assert not torch.equal(before["item_table.weight"], goal["item_table.weight"])
    for name, tensor in averaged.state_dict().items():
        share = 0.0 if name in tables else 0.25
        expected = before[name] + share * (goal[name] - before[name])
        torch.testing.assert_close(tensor, expected, msg=name)


def test_dice_is_measured_anew_over_the_latest_batches() -> None:
    """A plain mean over the batches, whatever was measured before and however often."""
    model, tensors = make_model(1)
    batches = [np.arange(first, first + 16) for first in (0, 20, 40, 60)]
    # Of the perceptron: what comes into its first layer depends on no statistics before it.
    first = next(layer for layer in model.mlp if isinstance(layer, Dice))
    inputs: list[torch.Tensor] = []
    hook = first.register_forward_pre_hook(lambda _, given: inputs.append(given[0].clone()))
    for _ in range(2):
        inputs.clear()
        torch.nn.init.constant_(first.mean, 9.0)
        settle(model, tensors, [(batch, None) for batch in batches])
        assert len(inputs) == len(batches)
        means = torch.stack([x.mean(0) for x in inputs])
        variances = torch.stack([x.var(0, correction=0) for x in inputs])
        torch.testing.assert_close(first.mean, means.mean(0), atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(first.variance, variances.mean(0), atol=1e-6, rtol=1e-4)
    hook.remove()
    assert not model.training
    assert {layer.momentum for layer in model.modules() if isinstance(layer, Dice)} == {0.1}
    assert not any(layer.training for layer in model.modules())
