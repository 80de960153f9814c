"""The factorisation that stands beside every reader, against its twin in plain loops."""

import numpy as np
import pytest
import torch
from reference.factorisation import added_logit

from models.factorisation import Factorisation, PastFactors
from models.request_rows import BehaviorRows
from models.vocabulary import TableRows

ROWS = TableRows(items=7, categories=4, users=3)
DIM, N_TYPES = 5, 2
#: Item, category and type of each behavior; the first user did nothing.
DONE = [[], [(3, 1, 2), (0, 0, 1), (6, 3, 1), (3, 1, 1)]]
USERS = [1, 2]
SHOWN = [(3, 1), (6, 0), (0, 0)]


def make_factors(n_types: int = N_TYPES) -> Factorisation:
    """Return factors of random weights, biases too."""
    torch.manual_seed(4)
    factors = Factorisation(ROWS, DIM, PastFactors(ROWS, DIM, n_types))
    with torch.no_grad():
        for parameter in factors.parameters():
            parameter.normal_()
    return factors


def make_behaviors(padding: int) -> BehaviorRows:
    """Return the behaviors, with as many masked columns of other ids behind the longest."""
    length = max(len(done) for done in DONE) + padding
    columns = torch.full((3, len(DONE), length), 2)
    mask = torch.zeros(len(DONE), length, dtype=torch.bool)
    for row, done in enumerate(DONE):
        for k, behavior in enumerate(done):
            columns[:, row, k] = torch.tensor(behavior)
            mask[row, k] = True
    items, categories, types = columns
    return BehaviorRows(items, categories, types, torch.zeros_like(items), mask)


def twin_weights(factors: Factorisation) -> dict[str, object]:
    """Return the weights as the twin takes them."""
    own = {name: p.detach().double().numpy() for name, p in factors.named_parameters()}
    past = {n.split(".")[1]: v for n, v in own.items() if n.startswith("past.")}
    return {n.split(".")[0]: v for n, v in own.items() if not n.startswith("past.")} | {
        "past": past
    }


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("n_types", [N_TYPES, 0])
def test_factors_equal_the_loops(padding: int, n_types: int) -> None:
    factors = make_factors(n_types)
    items, categories = torch.tensor([SHOWN, SHOWN]).unbind(-1)
    added = factors(torch.tensor(USERS), items, categories, make_behaviors(padding))
    for row, (user, done) in enumerate(zip(USERS, DONE, strict=True)):
        told = [(item, category, kind if n_types else 0) for item, category, kind in done]
        expected = [added_logit(twin_weights(factors), user, shown, told) for shown in SHOWN]
        np.testing.assert_allclose(added[row].detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_who_did_nothing_has_no_past() -> None:
    factors = make_factors()
    assert factors.past is not None
    assert not factors.past(make_behaviors(0))[0].any()
