"""Scores of attention units without a way back: in tiles that stay in the processor's cache.

One user and a thousand candidates make a hundred thousand rows, whose layers are far larger than a
cache; torch passes over them once for each sum, product and activation. Here a tile of behaviors
and candidates goes through the whole unit before the next. The first layer is linear in what it is
given, so what one side alone adds is computed once (``models/din.py``, ``models/time_attention.py``
say how), and the products of both sides come by one product of matrices:

* ``ActivationUnit``: k (Wk - Wd) + q (Wq + Wd) + (q * k) Wp; a matrix (Wq + Wd) + diag(k) Wp for
  each behavior, which multiplies the candidates, or, where these are fewer, a matrix
  (Wk - Wd) + diag(q) Wp for each candidate, which multiplies the behaviors;
* ``TimeAwareUnit``: q' (Wq + Wd) + (q' * k) Wp = q' ((Wq + Wd) + diag(k) Wp); a matrix for each
  behavior, which multiplies the candidates as that behavior's place in time shows them.

What the side of the matrices adds alone is one more row of each, which multiplies a one behind
what the other side says; so the product brings all of the first layer but the facts of pairs.

The units' own code in torch says the same readably, and is what other processors run.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from models import unit_kernels
from models.scan_kernels import F32
from models.unit_scores import ready

#: Rows of a tile; both its layers fit a cache of one megabyte.
_TILE_ROWS = 2_048


class UnitLayers(NamedTuple):
    """Weights of a unit."""

    of_queries: Tensor  # [D, h] Wq + Wd
    of_keys: Tensor  # [D, h] Wk - Wd
    of_products: Tensor  # [D, h] Wp
    bias: Tensor  # [h]
    second: Tensor  # [h, g]
    second_bias: Tensor  # [g]
    third: Tensor  # [g]
    third_bias: Tensor  # [1]


class KeptLayers:
    """The weights of one unit as inference takes them, made anew when they have changed.

    What changes them is noticed by the counter of writes that torch keeps of a tensor; an optimiser
    may go round it, so a step of training forgets them (``forget``).

    Args:
        first: The unit's first layer, which sees query, key, difference and product.
        second: Its second.
        third: Its third.
    """

    def __init__(self, first: nn.Linear, second: nn.Linear, third: nn.Linear) -> None:
        self._modules = (first, second, third)
        self._kept: tuple[object, UnitLayers] | None = None

    def layers(self) -> UnitLayers:
        """Return the weights."""
        weights = [part for one in self._modules for part in (one.weight, one.bias)]
        kept, now = self._kept, tuple((one.data_ptr(), one._version) for one in weights)
        if kept is None or kept[0] != now:
            kept = now, self._made(weights)
            self._kept = kept
        return kept[1]

    def forget(self) -> None:
        """Make the weights anew when they are next asked for."""
        self._kept = None

    @staticmethod
    def _made(weights: list[Tensor]) -> UnitLayers:
        first, bias, second, second_bias, third, third_bias = weights
        of_query, of_key, of_difference, of_product = torch.split(first, first.shape[1] // 4, 1)
        layers = (
            (of_query + of_difference).T, (of_key - of_difference).T, of_product.T, bias,
            second.T, second_bias, third[0], third_bias,
        )  # fmt: skip
        return UnitLayers(*ready(layers))


class Facts(NamedTuple):
    """What is known of pairs of a key and a query."""

    pairs: Tensor  # [s, t, n, f]; f may be 0
    rows: Tensor  # [f, h] what each fact adds to the first layer

    @classmethod
    def of_nothing(cls, keys: Tensor, queries: Tensor) -> Self:
        """Return no facts."""
        (s, t, _), n = keys.shape, queries.shape[1]
        return cls(keys.new_empty(s, t, n, 0), keys.new_empty(0, 0))


class _Tile(NamedTuple):
    requests: slice
    right: slice


class _Room:
    """Room for the matrices and the two layers of tiles of one size, used again and again.

    Args:
        unit: Its weights.
        smooth: Sigmoids between the layers, else relus.
        n_requests: Of a tile.
        n_right: Of the side that has the matrices.
        n_left: Of the other.
    """

    def __init__(
        self, unit: UnitLayers, smooth: bool, n_requests: int, n_right: int, n_left: int
    ) -> None:
        (dim, h), g = unit.of_products.shape, len(unit.third)
        n_rows = n_requests * n_right * n_left
        self._unit, self._smooth = unit, smooth
        self.matrices = unit.second.new_empty(n_requests, dim + 1, n_right, h)
        self.first = unit.second.new_empty(n_rows, h)
        self._second = unit.second.new_empty(n_rows, g)
        self._made, self._layer, self._following = (
            one.numpy() for one in (self.matrices, self.first, self._second)
        )

    def make_matrices(self, right: "_Right", tile: _Tile) -> None:
        """Fill the matrices of a tile."""
        values, alone = (one[tile.requests, tile.right] for one in (right.values, right.alone))
        unit_kernels.make_matrices(values, right.of_products, right.of_left, alone, self._made)

    def fill_scores(
        self,
        pairs: Tensor,
        rows: Tensor,
        scores: F32,
        first: tuple[int, int, int],
    ) -> None:
        """Take the filled first layer through the rest of the unit.

        Args:
            pairs: Facts of each row of the layer, ``[x, y, z, f]``.
            rows: What each fact adds, ``[f, h]``.
            scores: Filled with those of the tile, a part ``[x, y, z]``.
            first: Where that begins.
        """
        unit, (x, y, z) = self._unit, first
        if len(rows):
            facts = pairs.flatten(0, -2).contiguous()
            unit_kernels.add_facts(facts.numpy(), rows.contiguous().numpy(), self._layer)
        unit_kernels.activate(self._layer, self._smooth)
        torch.addmm(unit.second_bias, self.first, unit.second, out=self._second)
        unit_kernels.third_layer(
            self._following, unit.third.numpy(), unit.third_bias.numpy(), self._smooth, scores,
            (x, x + pairs.shape[0], y, y + pairs.shape[1], z, z + pairs.shape[2]),
        )  # fmt: skip


class _Rooms:
    """The rooms of a walk over tiles, which are of one size but for the last ones.

    Args:
        unit: Its weights.
        smooth: Sigmoids between the layers, else relus.
        n_left: Of the side that has no matrices.
    """

    def __init__(self, unit: UnitLayers, smooth: bool, n_left: int) -> None:
        self._given = unit, smooth
        self._n_left = n_left
        self._rooms: dict[tuple[int, int], _Room] = {}

    def of(self, tile: _Tile) -> _Room:
        """Return the room of a tile."""
        size = tile.requests.stop - tile.requests.start, tile.right.stop - tile.right.start
        room = self._rooms.get(size)
        if room is None:
            room = self._rooms[size] = _Room(*self._given, *size, self._n_left)
        return room


def scores_in_tiles(
    queries: Tensor,
    keys: Tensor,
    bias: Tensor | None,
    facts: Facts,
    unit: UnitLayers,
    smooth: bool,
) -> Tensor:
    """Return the output of a DIN unit for every key and query, ``[s, t, n]``.

    Args:
        queries: ``[s, n, D]``.
        keys: ``[s, t, D]``.
        bias: What each key adds beside its product, ``[s, t, h]``; None for nothing.
        facts: Of each pair.
        unit: Its weights.
        smooth: Sigmoids in its hidden layers, else relus.
    """
    if queries.shape[1] >= keys.shape[1]:
        alone = nn.functional.linear(keys, unit.of_keys.T, unit.bias)
        alone = alone if bias is None else alone + bias
        right = _Right.of(keys, alone, unit.of_queries, unit.of_products)
        turned = Facts(facts.pairs.transpose(1, 2), facts.rows)
        return _scores(queries, right, None, turned, unit, smooth).transpose(1, 2)
    alone = nn.functional.linear(queries, unit.of_queries.T, unit.bias)
    right = _Right.of(queries, alone, unit.of_keys, unit.of_products)
    return _scores(keys, right, bias, facts, unit, smooth)


class _Right(NamedTuple):
    """The side that has the matrices, as compiled loops take it."""

    values: F32  # [s, b, D]
    alone: F32  # [s, b, h]
    of_left: F32  # [D, h]
    of_products: F32  # [D, h]

    @classmethod
    def of(cls, values: Tensor, alone: Tensor, of_left: Tensor, of_products: Tensor) -> Self:
        """Take it from tensors."""
        return cls(*(one.numpy() for one in ready((values, alone, of_left, of_products))))


def _scores(
    left: Tensor,
    right: _Right,
    alone: Tensor | None,
    facts: Facts,
    unit: UnitLayers,
    smooth: bool,
) -> Tensor:
    """Return the scores with a matrix for each of the right side, ``[s, a, b]``.

    Args:
        left: What is multiplied, ``[s, a, D]``.
        right: What has the matrices.
        alone: What each of the left side adds to the first layer, ``[s, a, h]``.
        facts: Of the pairs, ``[s, a, b, f]``.
        unit: Its weights.
        smooth: Sigmoids, else relus.
    """
    (s, a, _), b = left.shape, right.values.shape[1]
    rooms = _Rooms(unit, smooth, a)
    with_one = torch.cat((left, left.new_ones(s, a, 1)), 2)
    scores = left.new_empty(s, a, b)
    to = scores.numpy()
    for tile in _tiles(s, b, a):
        room, own = rooms.of(tile), with_one[tile.requests]
        room.make_matrices(right, tile)
        matrices = room.matrices.flatten(2)
        layer = room.first.view(len(own), a, matrices.shape[2])
        torch.bmm(own, matrices, out=layer)
        if alone is not None:
            added = alone[tile.requests].unsqueeze(2)
            layer.view(*layer.shape[:2], -1, added.shape[-1]).add_(added)
        pairs = facts.pairs[tile.requests, :, tile.right]
        room.fill_scores(pairs, facts.rows, to, (tile.requests.start, 0, tile.right.start))
    return scores


def placed_scores_in_tiles(
    queries: Tensor,
    places: Tensor,
    keys: Tensor,
    facts: Facts,
    unit: UnitLayers,
) -> Tensor:
    """Return the output of a time-aware unit for every key and query, ``[s, t, n]``.

    Args:
        queries: q Wq + b of the query's own layer, before its relu, ``[s, n, D]``.
        places: What each key's place adds to it, ``[s, t, D]``.
        keys: ``[s, t, D]``.
        facts: Of each pair.
        unit: Its weights, with which it compares q' with the keys.
    """
    (s, t, dim), n = keys.shape, queries.shape[1]
    alone = nn.functional.linear(keys, unit.of_keys.T, unit.bias)
    right = _Right.of(keys, alone, unit.of_queries, unit.of_products)
    rooms, tiles = _Rooms(unit, False, n), _tiles(s, t, n)
    n_rows = max((rooms.of(tile).first.shape[0] for tile in tiles), default=0)
    placed = keys.new_empty(n_rows * (dim + 1))
    scores = keys.new_empty(s, t, n)
    to = scores.numpy()
    for tile in tiles:
        room = rooms.of(tile)
        room.make_matrices(right, tile)
        matrices = room.matrices.transpose(1, 2).flatten(0, 1)  # [s * b, D + 1, h]
        n_requests = tile.requests.stop - tile.requests.start
        shape = (n_requests, len(matrices) // n_requests, n, dim + 1)
        shown = placed[: torch.Size(shape).numel()].view(shape)
        unit_kernels.place_queries(
            queries[tile.requests].contiguous().numpy(),
            places[tile.requests, tile.right].contiguous().numpy(),
            shown.numpy(),
        )
        layer = room.first.view(len(matrices), n, matrices.shape[2])
        torch.bmm(shown.flatten(0, 1), matrices, out=layer)
        pairs = facts.pairs[tile.requests, tile.right]
        room.fill_scores(pairs, facts.rows, to, (tile.requests.start, tile.right.start, 0))
    return scores


def _tiles(s: int, b: int, a: int) -> list[_Tile]:
    """Cut requests; one that is too large by the side that has the matrices.

    Args:
        s: Requests.
        b: Of the side that has the matrices.
        a: Of the other.
    """
    step = max(1, min(b, _TILE_ROWS // max(a, 1)))
    together = max(1, _TILE_ROWS // max(a * b, 1)) if step == b else 1
    tiles = []
    for first in range(0, s, together):
        requests = slice(first, min(first + together, s))
        for begin in range(0, b, step):
            tiles.append(_Tile(requests, slice(begin, min(begin + step, b))))
    return tiles
