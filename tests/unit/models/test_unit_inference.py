"""The tiles of the attention units against the units' own code in torch."""

import copy

import pytest
import torch
from torch import Tensor

from models import unit_inference
from models.din import ActivationUnit
from models.time_attention import TimeAwareUnit

DIM, HIDDEN = 6, (7, 5)
#: Requests, behaviors, candidates: many candidates, many behaviors, many requests, nothing.
SHAPES = [(1, 3, 50), (1, 50, 3), (9, 4, 3), (2, 30, 30), (1, 1, 1), (3, 5, 0)]


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the small shapes of the tests as large ones are cut."""
    monkeypatch.setattr(unit_inference, "_TILE_ROWS", 20)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def in_torch(unit: torch.nn.Module, *inputs: Tensor | tuple[Tensor, Tensor] | None) -> Tensor:
    """Return the scores by the unit's own code, which float64 has no other way than."""
    doubled = [
        tuple(part.double() for part in one) if isinstance(one, tuple)
        else None if one is None else one.double()
        for one in inputs
    ]  # fmt: skip
    with torch.no_grad():
        scores: Tensor = unit.double().scores(*doubled).float()  # type: ignore[operator]
    unit.float()
    return scores


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("extras", [False, True], ids=["plain", "with bias and facts"])
@pytest.mark.parametrize(("s", "t", "n"), SHAPES)
def test_the_activation_unit(activation: str, extras: bool, s: int, t: int, n: int) -> None:
    torch.manual_seed(0)
    unit = ActivationUnit(DIM, HIDDEN, activation=activation)  # type: ignore[arg-type]
    queries, keys = drawn(s, n, DIM), drawn(s, t, DIM)
    bias, pairs = None, None
    if extras:
        bias = drawn(s, t, HIDDEN[0])
        pairs = ((drawn(s, t, n, 2) > 0).float(), drawn(2, HIDDEN[0]))
    with torch.no_grad():
        found = unit.scores(queries, keys, bias, pairs)
    wanted = in_torch(unit, queries, keys, bias, pairs)
    assert found.shape == (s, t, n)
    torch.testing.assert_close(found, wanted, atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("n_facts", [0, 2])
@pytest.mark.parametrize(("s", "t", "n"), SHAPES)
def test_the_time_aware_unit(n_facts: int, s: int, t: int, n: int) -> None:
    torch.manual_seed(0)
    unit = TimeAwareUnit(DIM, 3, HIDDEN, n_facts)
    queries, keys, places = drawn(s, n, DIM), drawn(s, t, DIM), drawn(s, t, 3)
    facts = (drawn(s, t, n, n_facts) > 0).float() if n_facts else None
    with torch.no_grad():
        found = unit.scores(queries, keys, places, facts)
    wanted = in_torch(unit, queries, keys, places, facts)
    assert found.shape == (s, t, n)
    torch.testing.assert_close(found, wanted, atol=2e-6, rtol=2e-6)


def test_a_candidate_has_the_same_score_in_any_company() -> None:
    torch.manual_seed(0)
    unit = ActivationUnit(DIM, HIDDEN)
    queries, keys = drawn(1, 40, DIM), drawn(1, 30, DIM)
    with torch.no_grad():
        together = unit.scores(queries, keys)
        alone = torch.cat([unit.scores(queries[:, i : i + 1], keys) for i in range(40)], 2)
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-6)


def test_transposed_and_padded_inputs_are_taken() -> None:
    torch.manual_seed(0)
    unit = ActivationUnit(DIM, HIDDEN)
    queries, keys = drawn(2, DIM, 9).transpose(1, 2), drawn(2, 8, 2 * DIM)[:, ::2, :DIM]
    with torch.no_grad():
        found = unit.scores(queries, keys)
    torch.testing.assert_close(found, in_torch(unit, queries, keys), atol=2e-6, rtol=2e-6)


def test_weights_that_have_changed_are_noticed() -> None:
    """By a step of training, by a state loaded, in a copy."""
    unit = ActivationUnit(DIM, HIDDEN)
    queries, keys = drawn(1, 4, DIM), drawn(1, 5, DIM)

    def assert_right(one: ActivationUnit) -> None:
        with torch.no_grad():
            found = one.scores(queries, keys)
        wanted = in_torch(copy.deepcopy(one), queries, keys)
        torch.testing.assert_close(found, wanted, atol=2e-6, rtol=2e-6)

    assert_right(unit)
    optimiser = torch.optim.AdamW(unit.parameters(), lr=0.1, fused=True)
    for _ in range(3):
        optimiser.zero_grad()
        unit.scores(queries, keys).sum().backward()
        optimiser.step()
        assert_right(unit)
    other = ActivationUnit(DIM, HIDDEN)
    unit.load_state_dict(other.state_dict())
    assert_right(unit)
    copied = copy.deepcopy(unit)
    with torch.no_grad():
        copied.second.weight.mul_(2)
    assert_right(copied)
    assert_right(unit)
