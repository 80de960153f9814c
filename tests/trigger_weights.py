"""Weights of the readers that are made for triggers, under the names of twins and vectors."""

from typing import Any

import torch
from torch import Tensor, nn

from models.dei2n import Dei2nReader
from models.din import ActivationUnit
from models.self_attention import SelfAttention
from models.time_attention import TimeAwareUnit

Weights = dict[str, dict[str, Any]]


def layers(modules: nn.Sequential) -> dict[str, Tensor]:
    """Return W1, b1, W2, ... of fully connected layers, as views."""
    linear = [module for module in modules if isinstance(module, nn.Linear)]
    return {
        name + str(k): values
        for k, layer in enumerate(linear, start=1)
        for name, values in (("W", layer.weight.T), ("b", layer.bias))
    }


def unit(attention: TimeAwareUnit | ActivationUnit) -> dict[str, Tensor]:
    """Return the weights of an attention unit, as views."""
    found = layers(nn.Sequential(attention.first, attention.second, attention.third))
    if isinstance(attention, TimeAwareUnit):
        found |= {"Wq": attention.query.weight.T, "bq": attention.query.bias}
    return found


def self_attention(block: SelfAttention) -> dict[str, Tensor]:
    """Return the weights of a self-attention block, as views."""
    q, k, v = block.qkv.weight.T.chunk(3, 1)
    return {
        "WQ": q, "WK": k, "WV": v, "WO": block.out.weight.T,
        "ln_g": block.norm.weight, "ln_b": block.norm.bias,
    }  # fmt: skip


def of_dei2n(reader: Dei2nReader) -> dict[str, dict[str, Tensor]]:
    """Return all weights of a DEI2N but its interval table, as views."""
    assert reader.soft is not None
    assert reader.instant is not None
    assert reader.hard_unit is not None
    assert reader.interaction is not None
    mix = {"Wmix": reader.soft.mix.weight.T, "bmix": reader.soft.mix.bias}
    return {
        "soft": mix | self_attention(reader.soft.refine),
        "att_target": unit(reader.soft.target_unit),
        "att_trigger": unit(reader.soft.trigger_unit),
        "att_hard": unit(reader.hard_unit),
        "ui2m": layers(reader.instant),
        "interaction": layers(reader.interaction),
    }


def as_lists(weights: dict[str, Tensor]) -> dict[str, Any]:
    """Return weights as the twins take them."""
    return {name: values.detach().double().tolist() for name, values in weights.items()}


def disturb(reader: nn.Module, std: float = 0.5) -> None:
    """Set every weight at random, so that no part is silent."""
    with torch.no_grad():
        for parameter in reader.parameters():
            parameter.normal_(std=std)
