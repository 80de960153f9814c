"""Scores of DIN's activation unit with their gradient written by hand, for a processor.

The unit's layers are the largest thing in a training step: autograd makes each anew for every sum
and sigmoid, and reads all of them again on the way back. Here requests are walked in tiles that
stay in the processor's cache, and only the two activated layers are kept.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from models import unit_kernels

#: Rows of a tile: few enough for the cache, enough to hide what a call costs.
_TILE_ROWS = 2560


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


def unit_scores(inputs: UnitInputs, weights: UnitWeights) -> Tensor:
    """Return the output of a unit with sigmoids for every key and query, ``[s, t, n]``."""
    scores: Tensor = _Scores.apply(*inputs, *weights)
    return scores


def _tiles(s: int, rows_of_each: int) -> list[slice]:
    step = max(1, _TILE_ROWS // max(rows_of_each, 1))
    return [slice(first, min(first + step, s)) for first in range(0, s, step)]


class _Scores(torch.autograd.Function):
    """The walk over the tiles, and the walk back.

    k (Wk - Wd) + (q * k) Wp = k ((Wk - Wd) + diag(q) Wp): one product a key and query. The matrix
    in brackets is made for each query of a tile.
    """

    @staticmethod
    def forward(ctx: Any, *given: Tensor | None) -> Tensor:
        inputs = UnitInputs(*ready(given[:6]))
        weights = UnitWeights(*ready(given[6:]))
        keys, queries, per_query, bias, facts, rows = inputs
        (s, t, _), n = keys.shape, queries.shape[1]
        h, g = weights.second.shape
        first, second = keys.new_empty(s, t * n, h), keys.new_empty(s, t * n, g)
        scores = keys.new_empty(s, t, n)
        nothing = keys.new_empty(0, 0, 0)
        for tile in _tiles(s, t * n):
            layer, following = first[tile], second[tile].flatten(0, 1)
            torch.bmm(
                keys[tile], _matrices_of(queries[tile], weights), out=layer.view(-1, t, n * h)
            )
            unit_kernels.enter(
                per_query[tile].numpy(), (nothing if bias is None else bias[tile]).numpy(),
                facts[tile].numpy(), rows.numpy(), layer.flatten(0, 1).numpy(),
            )  # fmt: skip
            torch.addmm(weights.second_bias, layer.flatten(0, 1), weights.second, out=following)
            unit_kernels.activate(following.numpy(), True)
            torch.mv(following, weights.third, out=scores[tile].view(-1))
        scores += weights.third_bias
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


def _matrices_of(queries: Tensor, weights: UnitWeights) -> Tensor:
    """Return what keys are multiplied with, of each query, ``[s, D, n * h]``."""
    of_products = weights.of_products.unsqueeze(1)  # [D, 1, h]
    made = queries.transpose(1, 2).unsqueeze(-1) * of_products
    return made.add_(weights.of_keys.unsqueeze(1)).flatten(2)


class _WayBack:
    """Gradients of a unit, tile by tile."""

    def __init__(self, inputs: UnitInputs, weights: UnitWeights) -> None:
        self._inputs, self._weights = inputs, weights
        self._of_keys = torch.empty_like(inputs.keys)
        self._of_queries = torch.empty_like(inputs.queries)
        self._of_per_query = torch.empty_like(inputs.per_query)
        self._of_bias = None if inputs.bias is None else torch.empty_like(inputs.bias)
        self._of_rows = torch.zeros_like(inputs.rows)
        self._of_key_weights = torch.zeros_like(weights.of_keys)
        self._of_product_weights = torch.zeros_like(weights.of_products)
        self._of_second = torch.zeros_like(weights.second)
        #: Of the third layer's weight and of the second layer's bias.
        self._sums = inputs.keys.new_zeros(2, weights.second.shape[1])
        self._back = weights.second.T.contiguous()

    def walk(self, tile: slice, of_scores: Tensor, layers: tuple[Tensor, Tensor]) -> None:
        """Take a tile back; ``of_scores [r]``."""
        first, second = (layer.flatten(0, 1) for layer in layers)
        given, weights = self._inputs, self._weights
        keys, queries, facts = given.keys[tile], given.queries[tile], given.facts[tile]
        moved = torch.empty_like(second)
        arrays = (of_scores, second, weights.third, moved, self._sums)
        unit_kernels.back_from_scores(*(one.numpy() for one in arrays))
        self._of_second.addmm_(first.T, moved)
        entered = moved @ self._back
        unit_kernels.back_through_first(
            first.numpy(), facts.numpy(), entered.numpy(), self._of_rows.numpy(),
            self._of_per_query[tile].numpy(),
        )  # fmt: skip
        by_query = entered.view(*keys.shape[:2], -1, first.shape[1])
        if self._of_bias is not None:
            torch.sum(by_query, 2, out=self._of_bias[tile])
        entered = by_query.flatten(2)
        torch.bmm(entered, _matrices_of(queries, weights).transpose(1, 2), out=self._of_keys[tile])
        of_matrices = torch.bmm(keys.transpose(1, 2), entered)
        of_matrices = of_matrices.view(*of_matrices.shape[:2], *by_query.shape[2:])
        unit_kernels.back_from_matrices(
            queries.numpy(), weights.of_products.numpy(), of_matrices.numpy(),
            self._of_key_weights.numpy(), self._of_product_weights.numpy(),
            self._of_queries[tile].numpy(),
        )  # fmt: skip

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


def ready(tensors: Iterable[Tensor | None]) -> list[Any]:
    """Return tensors as compiled loops take them: contiguous, without a way back."""
    return [None if one is None else one.detach().contiguous() for one in tensors]
