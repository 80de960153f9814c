"""Buckets of intervals at their edges, and the time-aware unit."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from models.time_attention import IntervalTable, TimeAwareUnit, interval_rows

MINUTE_MS, YEAR_MS = 60_000, 365 * 86_400_000
DIM, PLACE_DIM, HIDDEN = 4, 3, (6, 5)


def make_unit(place_dim: int = PLACE_DIM) -> TimeAwareUnit:
    torch.manual_seed(1)
    unit = TimeAwareUnit(DIM, place_dim, HIDDEN)
    with torch.no_grad():
        for parameter in unit.parameters():
            parameter.normal_(std=0.5)
    return unit.eval()


def make_inputs() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return queries, keys, mask and places of three requests: five keys, one, none."""
    torch.manual_seed(2)
    mask = torch.arange(5) < torch.tensor([5, 1, 0])[:, None]
    return torch.randn(3, 2, DIM), torch.randn(3, 5, DIM), mask, torch.randn(3, 5, PLACE_DIM)


@pytest.mark.parametrize(
    ("age_ms", "linear", "log"),
    [
        (-5 * MINUTE_MS, 0, 0), (0, 0, 0), (MINUTE_MS - 1, 0, 1), (MINUTE_MS, 1, 2),
        (2 * MINUTE_MS - 1, 1, 3), (3 * MINUTE_MS, 3, 4), (7 * MINUTE_MS - 1, 6, 5),
        (7 * MINUTE_MS, 7, 6), (60 * 24 * MINUTE_MS, 99, 20), (30 * YEAR_MS, 99, 47),
        (90 * YEAR_MS, 99, 47),
    ],
)  # fmt: skip
def test_buckets_begin_where_they_say(age_ms: int, linear: int, log: int) -> None:
    """Whole minutes, and half doublings of 1 + minutes; 100 and 48 rows."""
    ages = torch.tensor([[age_ms]])
    assert interval_rows(ages, "linear", 100).tolist() == [[linear]]
    assert interval_rows(ages, "log", 48).tolist() == [[log]]


def test_the_papers_table_has_a_row_each_minute_of_sixty_days() -> None:
    minutes = torch.arange(86_401)
    assert torch.equal(interval_rows(minutes * MINUTE_MS, "linear", 86_401), minutes)
    assert torch.equal(
        interval_rows(minutes * MINUTE_MS + MINUTE_MS - 1, "linear", 86_401), minutes
    )
    later = torch.tensor([86_401 * MINUTE_MS, 10 * YEAR_MS])
    assert interval_rows(later, "linear", 86_401).tolist() == [86_400, 86_400]


def test_logarithmic_buckets_grow_with_the_interval() -> None:
    ages = torch.from_numpy(np.geomspace(1_000, 60 * YEAR_MS, 4000).astype(np.int64))
    rows = interval_rows(ages, "log", 48)
    assert (rows.diff() >= 0).all()
    assert rows.unique().tolist() == list(range(48))


def test_the_table_tells_one_bucket_from_another() -> None:
    torch.manual_seed(3)
    table = IntervalTable(PLACE_DIM, 48, "log")
    ages = torch.tensor([[0, MINUTE_MS // 5, MINUTE_MS, 30 * YEAR_MS, 60 * YEAR_MS]])
    found = table(ages)[0]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[3], found[4])
    assert torch.equal(found[[0, 2, 3]], table.table.weight[[0, 2, 47]])
    assert len(found.unique(dim=0)) == 3


def test_weights_sum_to_one_over_what_is_real() -> None:
    unit, (queries, keys, mask, places) = make_unit(), make_inputs()
    with torch.no_grad():
        weights = unit.weights(queries, keys, mask, places)
        found = unit(queries, keys, mask, places)
    assert weights.shape == (3, 5, 2)
    torch.testing.assert_close(weights.sum(1), mask.any(1).float()[:, None].expand(3, 2))
    assert (weights[~mask] == 0).all()
    torch.testing.assert_close(found[1], keys[1, :1].expand(2, DIM))
    assert (found[2] == 0).all()
    for n in range(2):
        torch.testing.assert_close(found[0, n], weights[0, :, n] @ keys[0])
    # Both queries have weights of their own, and the first request's are not uniform.
    assert (weights[0, :, 0] - weights[0, :, 1]).abs().max() > 1e-3
    assert weights[0].std(0).min() > 1e-3


def test_a_score_is_that_of_hand_computation() -> None:
    """The query is relu([q; e_t] Wq + b); the network reads [q', k, q' - k, q' * k]."""
    unit, (queries, keys, _, places) = make_unit(), make_inputs()

    def layer(name: str, x: list[float]) -> list[float]:
        weight = getattr(unit, name).weight.tolist()
        bias = getattr(unit, name).bias.tolist()
        return [
            sum(w * v for w, v in zip(row, x, strict=True)) + b
            for row, b in zip(weight, bias, strict=True)
        ]

    def relu(x: list[float]) -> list[float]:
        return [max(v, 0.0) for v in x]

    with torch.no_grad():
        found = unit.scores(queries, keys, places)
    for t, n in ((0, 0), (3, 1), (4, 0)):
        k = keys[0, t].tolist()
        q = relu(layer("query", queries[0, n].tolist() + places[0, t].tolist()))
        both = [*q, *k, *(a - b for a, b in zip(q, k, strict=True))]
        both += [a * b for a, b in zip(q, k, strict=True)]
        (expected,) = layer("third", relu(layer("second", relu(layer("first", both)))))
        assert math.isclose(found[0, t, n].item(), expected, abs_tol=1e-5)


def test_a_place_moves_the_weight_of_its_own_key() -> None:
    unit, (queries, keys, mask, places) = make_unit(), make_inputs()
    other = places.clone()
    other[0, 2] += 3.0
    with torch.no_grad():
        far = (unit.scores(queries, keys, other) - unit.scores(queries, keys, places)).abs()
        assert far[0, 2].min() > 1e-4
        far[0, 2] = 0
        assert far.max() == 0
        # Without places the same unit is one of keys and queries alone.
        alone = make_unit(0)
        assert alone.weights(queries, keys, mask).shape == (3, 5, 2)
