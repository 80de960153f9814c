"""Scores of DIN's activation unit with their gradient written by hand, for a processor.

The unit's layers are the largest thing in a training step: autograd makes each anew for every sum
and sigmoid, and reads all of them again on the way back. Here requests are walked in tiles that
stay in the processor's cache, and only the two activated layers are kept.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from models import unit_kernels
from models.layers import is_compiled

#: Rows of a tile: its layers fit into the cache of one core.
_TILE_ROWS = 1280


class UnitWeights(NamedTuple):
    """Weights of the unit as the parts that it multiplies with."""

    of_keys: Tensor  # [D, h] Wk - Wd
    of_products: Tensor  # [D, h] Wp
    second: Tensor  # [h, g]
    second_bias: Tensor  # [g]
    third: Tensor  # [g]
    third_bias: Tensor  # [1]


class UnitInputs(NamedTuple):
    """What the unit compares."""

    keys: Tensor  # [s, t, D]
    queries: Tensor  # [s, n, D]
    per_query: Tensor  # [s, n, h] what each query and the bias add to the first layer
    bias: Tensor | None  # [s, t, h] what each key adds beside its product
    facts: Tensor  # [s, t, n, f] of each pair; f may be 0
    rows: Tensor  # [f, h] what each fact adds


def has_unit_scores(keys: Tensor) -> bool:
    """Whether ``unit_scores`` is the way to go: in training, by a processor, in float32."""
    return torch.is_grad_enabled() and is_compiled(keys)


def unit_scores(inputs: UnitInputs, weights: UnitWeights) -> Tensor:
    """Return the output of a unit with sigmoids for every key and query, ``[s, t, n]``."""
    scores: Tensor = _Scores.apply(*inputs, *weights)
    return scores


def _tiles(s: int, rows_of_each: int) -> list[slice]:
    step = max(1, _TILE_ROWS // max(rows_of_each, 1))
    return [slice(first, min(first + step, s)) for first in range(0, s, step)]


class _Scores(torch.autograd.Function):
    """The walk over the tiles, and the walk back."""

    @staticmethod
    def forward(ctx: Any, *given: Tensor | None) -> Tensor:
        inputs = UnitInputs(*_ready(given[:6]))
        weights = UnitWeights(*_ready(given[6:]))
        keys, queries, per_query, bias, facts, rows = inputs
        (s, t, dim), n = keys.shape, queries.shape[1]
        h, g = weights.second.shape
        first, second = keys.new_empty(s, t * n, h), keys.new_empty(s, t * n, g)
        scores = keys.new_empty(s, t, n)
        offset, third = weights.third_bias.item(), weights.third.numpy()
        for tile in _tiles(s, t * n):
            few = keys[tile]
            per_key = few.flatten(0, 1) @ weights.of_keys
            if bias is not None:
                per_key += bias[tile].flatten(0, 1)
            layer, following = first[tile].flatten(0, 1), second[tile].flatten(0, 1)
            products = keys.new_empty(len(layer), dim)
            added = (per_key.numpy(), facts[tile].numpy(), rows.numpy())
            unit_kernels.enter(
                few.numpy(), queries[tile].numpy(), per_query[tile].numpy(), added,
                (products.numpy(), layer.numpy()),
            )  # fmt: skip
            layer.addmm_(products, weights.of_products)
            unit_kernels.squash(layer.numpy())
            torch.addmm(weights.second_bias, layer, weights.second, out=following)
            unit_kernels.leave(following.numpy(), third, offset, scores[tile].view(-1).numpy())
        ctx.save_for_backward(*inputs, *weights, first, second)
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_scores: Tensor) -> Any:
        inputs, weights = UnitInputs(*ctx.saved_tensors[:6]), UnitWeights(*ctx.saved_tensors[6:12])
        way = _WayBack(inputs, weights)
        first, second = ctx.saved_tensors[12:]
        for tile in _tiles(len(first), first.shape[1]):
            way.walk(tile, of_scores[tile].reshape(-1), (first[tile], second[tile]))
        return *way.of_inputs(), *way.of_weights(of_scores)


class _WayBack:
    """Gradients of a unit, tile by tile."""

    def __init__(self, inputs: UnitInputs, weights: UnitWeights) -> None:
        self._inputs, self._weights = inputs, weights
        keys, bias = inputs.keys, inputs.bias
        self._of_keys = torch.empty_like(keys)
        self._of_queries = torch.empty_like(inputs.queries)
        self._of_per_query = torch.empty_like(inputs.per_query)
        self._of_bias = None if bias is None else torch.empty_like(bias)
        self._of_rows = torch.zeros_like(inputs.rows)
        self._of_key_weights = torch.zeros_like(weights.of_keys)
        self._of_product_weights = torch.zeros_like(weights.of_products)
        self._of_second = torch.zeros_like(weights.second)
        #: Of the third layer's weight and of the second layer's bias.
        self._sums = keys.new_zeros(2, weights.second.shape[1])
        self._back = [w.T.contiguous() for w in weights[:3]]

    def walk(self, tile: slice, of_scores: Tensor, layers: tuple[Tensor, Tensor]) -> None:
        """Take a tile back; ``of_scores [r]``."""
        first, second = (layer.flatten(0, 1) for layer in layers)
        given = self._inputs
        keys, queries, facts = given.keys[tile], given.queries[tile], given.facts[tile]
        moved = torch.empty_like(second)
        arrays = (of_scores, second, self._weights.third, moved, self._sums)
        unit_kernels.back_from_scores(*(one.numpy() for one in arrays))
        self._of_second.addmm_(first.T, moved)
        entered = moved @ self._back[2]
        if self._of_bias is None:
            of_key = keys.new_empty(keys.shape[0] * keys.shape[1], first.shape[1])
        else:
            of_key = self._of_bias[tile].flatten(0, 1)
        out = (self._of_per_query[tile].numpy(), of_key.numpy())
        unit_kernels.back_through_first(
            first.numpy(), facts.numpy(), entered.numpy(), self._of_rows.numpy(), out
        )
        products = (keys.unsqueeze(2) * queries.unsqueeze(1)).view(len(first), -1)
        self._of_product_weights.addmm_(products.T, entered)
        self._of_key_weights.addmm_(keys.flatten(0, 1).T, of_key)
        torch.mm(entered, self._back[1], out=products)
        of_keys = self._of_keys[tile]
        torch.mm(of_key, self._back[0], out=of_keys.flatten(0, 1))
        arrays = (keys, queries, products, of_keys, self._of_queries[tile])
        unit_kernels.back_from_products(*(one.numpy() for one in arrays))

    def of_inputs(self) -> tuple[Tensor | None, ...]:
        """Return the gradients of ``UnitInputs``; facts have none."""
        return (
            self._of_keys, self._of_queries, self._of_per_query, self._of_bias, None, self._of_rows
        )  # fmt: skip

    def of_weights(self, of_scores: Tensor) -> tuple[Tensor, ...]:
        """Return the gradients of ``UnitWeights``."""
        return (
            self._of_key_weights, self._of_product_weights, self._of_second, self._sums[1],
            self._sums[0], of_scores.sum().view(1),
        )  # fmt: skip


def _ready(tensors: tuple[Tensor | None, ...]) -> list[Any]:
    return [None if one is None else one.detach().contiguous() for one in tensors]
