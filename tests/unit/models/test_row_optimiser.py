"""Rows move as torch's own optimisers move them, and only those that a batch names."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from models.row_optimiser import RowAdam, RowDecay

N_ROWS, DIM, RATE = 12, 3, 0.05
Step = tuple[Tensor, Tensor]


@pytest.fixture(autouse=True, params=["compiled", "vectorised"])
def _form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every step in the form of the processor, then in that of other devices."""
    monkeypatch.setattr(RowAdam, "_step_compiled", getattr(RowAdam, f"_step_{request.param}"))


def make_table(decay: RowDecay | None = None, average_over: int = 10) -> tuple[RowAdam, Tensor]:
    """Return an optimiser and its table; its average is ``optimiser._average``."""
    weight = torch.randn(N_ROWS, DIM, generator=torch.Generator().manual_seed(1))
    decay = decay or RowDecay(0.0, 0.0, torch.ones(N_ROWS))
    return RowAdam(weight, weight.clone(), decay, average_over), weight


def make_steps(n: int, rows_a_step: int) -> list[Step]:
    """Return rows and gradients of steps; no row twice in a step."""
    rng = torch.Generator().manual_seed(2)
    return [
        (
            torch.randperm(N_ROWS, generator=rng)[:rows_a_step],
            torch.randn(rows_a_step, DIM, generator=rng),
        )
        for _ in range(n)
    ]


def run(optimiser: RowAdam, steps: Sequence[Step]) -> None:
    for number, (rows, gradient) in enumerate(steps, start=1):
        optimiser.step(rows, gradient, RATE, number)


def test_equals_adam_when_every_row_is_met_in_every_step() -> None:
    optimiser, weight = make_table()
    theirs = torch.nn.Parameter(weight.clone())
    adam = torch.optim.Adam([theirs], lr=RATE)
    steps = make_steps(60, N_ROWS)
    run(optimiser, steps)
    for rows, gradient in steps:
        theirs.grad = torch.zeros(N_ROWS, DIM).index_copy(0, rows, gradient)
        adam.step()
    torch.testing.assert_close(weight, theirs.detach(), atol=1e-6, rtol=1e-5)


def test_equals_sparse_adam_when_a_step_meets_some_rows() -> None:
    optimiser, weight = make_table()
    theirs = torch.nn.Parameter(weight.clone())
    adam = torch.optim.SparseAdam([theirs], lr=RATE)
    steps = make_steps(60, 4)
    run(optimiser, steps)
    for rows, gradient in steps:
        theirs.grad = torch.sparse_coo_tensor(
            rows[None], gradient, (N_ROWS, DIM), check_invariants=True
        )
        adam.step()
    torch.testing.assert_close(weight, theirs.detach(), atol=1e-6, rtol=1e-5)


def test_rows_that_a_step_does_not_meet_keep_everything() -> None:
    optimiser, weight = make_table(RowDecay(0.3, 0.3, torch.ones(N_ROWS)))
    run(optimiser, make_steps(5, N_ROWS))
    held = [weight, optimiser._average, *optimiser.state.values()]
    before = [tensor.clone() for tensor in held]
    met = torch.tensor([7, 2])
    optimiser.step(met, torch.ones(2, DIM), RATE, 6)
    others = torch.ones(N_ROWS, dtype=torch.bool)
    others[met] = False
    for tensor, old in zip(held, before, strict=True):
        assert torch.equal(tensor[others], old[others])
        assert not torch.equal(tensor[met], old[met])


class LargestMade(TorchDispatchMode):
    """Notes the size of the largest tensor made; views and changes in place make none."""

    largest = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        in_place = func._schema.name.endswith("_")
        if isinstance(made, Tensor) and not in_place and not func.is_view:
            self.largest = max(self.largest, made.numel())
        return made


def test_a_step_costs_its_rows_and_not_the_table() -> None:
    n_rows = 100_000
    weight = torch.zeros(n_rows, DIM)
    decay = RowDecay(0.1, 0.1, torch.ones(n_rows))
    optimiser = RowAdam(weight, weight.clone(), decay, 10)
    with LargestMade() as made:
        optimiser.step(torch.tensor([5, 99_999]), torch.ones(2, DIM), RATE, 1)
    assert 0 < made.largest <= 2 * DIM


def test_decay_and_mini_batch_aware_regulariser_equal_their_formula() -> None:
    """Beside Adam's step: w <- w - rate * (decay + regulariser / n_j) * w, n_j at least 1."""
    counts = torch.tensor([0.0, 1.0, 4.0, 50.0, *[9.0] * (N_ROWS - 4)])
    rows = torch.arange(4)
    gradient = torch.full((4, DIM), 0.7)
    plain, plain_weight = make_table()
    held, held_weight = make_table(RowDecay(0.2, 3.0, counts))
    old = held_weight.clone()
    for optimiser in (plain, held):
        optimiser.step(rows, gradient, RATE, 1)
    for row, n in enumerate((1, 1, 4, 50)):
        expected = plain_weight[row] - RATE * (0.2 + 3.0 / n) * old[row]
        torch.testing.assert_close(held_weight[row], expected)


@pytest.mark.parametrize("average_over", [1, 5, 200])
def test_averages_equal_those_that_move_in_every_step(average_over: int) -> None:
    """However rarely a row is met: a dense loop over all rows ends with the same averages."""
    optimiser, weight = make_table(average_over=average_over)
    dense = weight.clone()
    for number, (rows, gradient) in enumerate(make_steps(40, 2), start=1):
        optimiser.step(rows, gradient, RATE, number)
        share = max(1 / average_over, 1 / number)
        dense += share * (weight - dense)
        if number in (13, 40):
            optimiser.catch_up(number)
            torch.testing.assert_close(optimiser._average, dense, atol=1e-5, rtol=1e-5)
            assert (optimiser.state["met_at"] == number).all()


def test_catching_up_twice_changes_nothing() -> None:
    optimiser, _ = make_table()
    run(optimiser, make_steps(9, 3))
    optimiser.catch_up(9)
    once = optimiser._average.clone()
    optimiser.catch_up(9)
    assert torch.equal(optimiser._average, once)
