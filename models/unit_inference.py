"""Scores of attention units without a way back: in tiles that stay in the processor's cache.

One user and a thousand candidates make a hundred thousand rows, whose layers are far larger than a
cache; torch passes over them once for each sum, product and activation. Here a tile of behaviors
and candidates goes through the whole unit before the next. The first layer is linear in what it is
given, so what one side alone adds is computed once (``models/din.py``, ``models/time_attention.py``
say how), and the products of both sides come by one product of matrices:

* ``ActivationUnit``: k (Wk - Wd) + (q * k) Wp = k ((Wk - Wd) + diag(q) Wp); a matrix for each
  candidate, which multiplies all behaviors;
* ``TimeAwareUnit``: q' (Wq + Wd) + (q' * k) Wp = q' ((Wq + Wd) + diag(k) Wp); a matrix for each
  behavior, which multiplies the candidates as that behavior's place in time shows them.

The units' own code in torch says the same readably, and is what other processors run.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from models import unit_kernels
from models.unit_scores import UnitInputs, UnitWeights, matrices_of, ready

#: Rows of a tile; both its layers fit a cache of one megabyte.
_TILE_ROWS = 2_048


class PlacedInputs(NamedTuple):
    """What a time-aware unit compares."""

    queries: Tensor  # [s, n, D] q Wq + b of the query's own layer, before its relu
    places: Tensor  # [s, t, D] what each key's place adds to it
    keys: Tensor  # [s, t, D]
    per_key: Tensor  # [s, t, h] what each key and the bias add to the first layer
    facts: Tensor  # [s, t, n, f] of each pair; f may be 0
    rows: Tensor  # [f, h] what each fact adds


class _Tile(NamedTuple):
    requests: slice
    behaviors: slice
    candidates: slice
    n_rows: int


class _Layers:
    """Room for the two layers of a tile, used again and again.

    Args:
        weights: Of the unit.
        smooth: Sigmoids between the layers, else relus.
        n_rows: Of the largest tile.
    """

    def __init__(self, weights: UnitWeights, smooth: bool, n_rows: int) -> None:
        h, g = weights.second.shape
        self._weights, self._smooth = weights, smooth
        self._first = weights.second.new_empty(n_rows * h)
        self._second = weights.second.new_empty(n_rows * g)
        self._third, self._offset = weights.third.numpy(), weights.third_bias.item()

    def first(self, *shape: int) -> Tensor:
        """Return the first layer in a shape, to be filled by a product."""
        return self._first[: torch.Size(shape).numel()].view(shape)

    def scores(self, per_query: Tensor, per_key: Tensor, facts: Tensor, rows: Tensor) -> Tensor:
        """Take the filled first layer through the unit.

        Args:
            per_query: What each query adds, ``[s, n, h]``; nothing: ``[0, 0, 0]``.
            per_key: What each key adds, ``[s, t, h]``; nothing: ``[0, 0, 0]``.
            facts: Of the tile, ``[s, t, n, f]``.
            rows: What each fact adds, ``[f, h]``.

        Returns:
            ``[s, t, n]``.
        """
        weights = self._weights
        h, g = weights.second.shape
        n_rows = facts.shape[0] * facts.shape[1] * facts.shape[2]
        layer, following = self.first(n_rows, h), self._second[: n_rows * g].view(n_rows, g)
        unit_kernels.enter(
            per_query.contiguous().numpy(),
            per_key.contiguous().numpy(),
            facts.contiguous().numpy(),
            rows.contiguous().numpy(),
            layer.numpy(),
            self._smooth,
        )
        torch.addmm(weights.second_bias, layer, weights.second, out=following)
        scores = following.new_empty(n_rows)
        unit_kernels.leave(
            following.numpy(), self._third, self._offset, scores.numpy(), self._smooth
        )
        return scores.view(facts.shape[:3])


def scores_in_tiles(inputs: UnitInputs, weights: UnitWeights, smooth: bool) -> Tensor:
    """Return the output of a DIN unit for every key and query, ``[s, t, n]``.

    Args:
        inputs: What it compares.
        weights: Its weights.
        smooth: Sigmoids in its hidden layers, else relus.
    """
    keys, queries, per_query, bias, facts, rows = UnitInputs(*ready(inputs))
    weights = UnitWeights(*ready(weights))
    (s, t, _), n = keys.shape, queries.shape[1]
    tiles = _tiles(s, t, n, by_candidates=True)
    layers = _Layers(weights, smooth, max((tile.n_rows for tile in tiles), default=0))
    scores = keys.new_empty(s, t, n)
    nothing = keys.new_empty(0, 0, 0)
    for tile in tiles:
        matrices = matrices_of(queries[tile.requests, tile.candidates], weights)
        own = keys[tile.requests]
        torch.bmm(own, matrices, out=layers.first(len(own), t, matrices.shape[2]))
        scores[tile.requests, :, tile.candidates] = layers.scores(
            per_query[tile.requests, tile.candidates],
            nothing if bias is None else bias[tile.requests],
            facts[tile.requests, :, tile.candidates],
            rows,
        )
    return scores


def placed_scores_in_tiles(inputs: PlacedInputs, weights: UnitWeights) -> Tensor:
    """Return the output of a time-aware unit for every key and query, ``[s, t, n]``.

    Args:
        inputs: What it compares.
        weights: Its weights; ``of_keys`` is Wq + Wd here, which multiplies q'.
    """
    queries, places, keys, per_key, facts, rows = PlacedInputs(*ready(inputs))
    weights = UnitWeights(*ready(weights))
    (s, t, dim), n = keys.shape, queries.shape[1]
    tiles = _tiles(s, t, n, by_candidates=False)
    n_rows = max((tile.n_rows for tile in tiles), default=0)
    layers = _Layers(weights, False, n_rows)
    placed = keys.new_empty(n_rows * dim)
    scores = keys.new_empty(s, t, n)
    nothing = keys.new_empty(0, 0, 0)
    h = len(weights.second)
    for tile in tiles:
        own = keys[tile.requests, tile.behaviors]
        shape = (own.shape[0], own.shape[1], n, dim)
        shown = placed[: torch.Size(shape).numel()].view(shape)
        unit_kernels.place_queries(
            queries[tile.requests].numpy(),
            places[tile.requests, tile.behaviors].contiguous().numpy(),
            shown.numpy(),
        )
        matrices = own.flatten(0, 1).unsqueeze(2) * weights.of_products + weights.of_keys
        torch.bmm(shown.flatten(0, 1), matrices, out=layers.first(len(matrices), n, h))
        scores[tile.requests, tile.behaviors] = layers.scores(
            nothing,
            per_key[tile.requests, tile.behaviors],
            facts[tile.requests, tile.behaviors],
            rows,
        )
    return scores


def _tiles(s: int, t: int, n: int, by_candidates: bool) -> list[_Tile]:
    """Cut requests, and those that are too large by their candidates or by their behaviors."""
    across, along = (t, n) if by_candidates else (n, t)
    step = max(1, min(along, _TILE_ROWS // max(across, 1)))
    together = max(1, _TILE_ROWS // max(across * along, 1)) if step == along else 1
    everything = slice(None)
    tiles = []
    for first in range(0, s, together):
        n_requests = min(together, s - first)
        requests = slice(first, first + n_requests)
        for begin in range(0, along, step):
            n_along = min(step, along - begin)
            part = slice(begin, begin + n_along)
            behaviors, candidates = (everything, part) if by_candidates else (part, everything)
            tiles.append(_Tile(requests, behaviors, candidates, n_requests * across * n_along))
    return tiles
