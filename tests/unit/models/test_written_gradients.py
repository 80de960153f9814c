"""Gradients that are written by hand against those that torch finds, in float64 and by its layers.

Each compiled way is taken in float32 by a processor; float64 takes the plain one.
"""

import pytest
import torch
from torch import Tensor

from models.din import ActivationUnit
from models.id_table import IdTable, look_up_both
from models.layers import Dice

_SHAPES = [(7, 5, 1), (200, 20, 1), (9, 6, 4), (70, 1, 30)]


def _assert_close(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip((x.detach() for x in found), (x.detach() for x in expected), strict=True):
        scale = float(other.abs().max()) + 1e-6
        assert float((one.double() - other).abs().max()) / scale < 2e-5


def _unit(dtype: torch.dtype, shape: tuple[int, int, int], known: bool) -> list[Tensor]:
    """Return scores and all gradients; ``known``: with what keys and pairs add."""
    torch.manual_seed(1)
    s, t, n = shape
    unit = ActivationUnit(12, (10, 6)).to(dtype)
    sizes = {"queries": (s, n, 12), "keys": (s, t, 12), "bias": (s, t, 10), "rows": (2, 10)}
    drawn = {name: torch.randn(size).to(dtype).requires_grad_() for name, size in sizes.items()}
    facts = ((torch.rand(s, t, n, 2) < 0.3) * torch.rand(s, t, n, 2)).to(dtype)
    more = (drawn["bias"], (facts, drawn["rows"])) if known else (None, None)
    scores = unit.scores(drawn["queries"], drawn["keys"], *more)
    moved = [*unit.parameters(), drawn["queries"], drawn["keys"]]
    moved += [drawn["bias"], drawn["rows"]] if known else []
    total = (scores * torch.randn(s, t, n).to(dtype)).sum()
    return [scores, *torch.autograd.grad(total, moved)]


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("known", [True, False])
def test_an_activation_units_scores_and_gradients(shape: tuple[int, int, int], known: bool) -> None:
    _assert_close(_unit(torch.float32, shape, known), _unit(torch.float64, shape, known))


def test_an_activation_unit_is_the_same_with_and_without_gradients() -> None:
    unit = ActivationUnit(8, (6, 4))
    queries, keys = torch.randn(3, 2, 8), torch.randn(3, 5, 8)
    trained = unit.scores(queries, keys).detach()
    with torch.no_grad():
        torch.testing.assert_close(unit.scores(queries, keys), trained, rtol=0, atol=1e-6)


def _dice(dtype: torch.dtype) -> list[Tensor]:
    torch.manual_seed(2)
    layer = Dice(9).to(dtype)
    layer.alpha.data = torch.linspace(-0.5, 0.7, 9).to(dtype)
    x = (torch.randn(37, 9) * 2 + 1).to(dtype).requires_grad_()
    out = layer(x)
    total = (out * torch.randn(37, 9).to(dtype)).sum()
    return [out, *torch.autograd.grad(total, [x, layer.alpha]), layer.mean, layer.variance]


def test_dice_in_training_and_its_gradients() -> None:
    _assert_close(_dice(torch.float32), _dice(torch.float64))


def test_rows_of_two_tables_side_by_side() -> None:
    tables = (IdTable(20, 5, 1.0), IdTable(9, 3, 1.0))
    rows = (torch.randint(0, 20, (6, 7)), torch.randint(0, 9, (6, 7)))
    for table in tables:
        table.active = table.weight.detach().clone().requires_grad_()
    weights = torch.randn(6, 7, 8)
    active = [table.active for table in tables]
    together = look_up_both(tables, rows)
    apart = torch.cat([table(own) for table, own in zip(tables, rows, strict=True)], -1)
    torch.testing.assert_close(together, apart, rtol=0, atol=0)
    found, expected = (
        torch.autograd.grad((embedded * weights).sum(), active) for embedded in (together, apart)
    )
    torch.testing.assert_close(found, expected)
