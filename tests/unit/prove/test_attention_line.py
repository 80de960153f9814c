"""What line 9 of the second issue does to a request, and how it counts."""

import pytest
import torch
from prove.models_rows.line09_attention import attending, interval, without

from models.request_rows import BehaviorRows, RequestBatch


def rows(items: list[int]) -> BehaviorRows:
    """Return one request's behaviors; all columns are those items."""
    column = torch.tensor([items])
    return BehaviorRows(column, column, column, column, torch.ones_like(column, dtype=torch.bool))


def batch_of(behaviors: BehaviorRows, found: BehaviorRows | None) -> RequestBatch:
    one = torch.zeros(1, 1, dtype=torch.int64)
    flat, yes = one.flatten(), torch.ones(1, 1, dtype=torch.bool)
    return RequestBatch(
        behaviors, one, one, one, yes, flat, flat, flat, flat, flat, flat, yes.flatten(),
        found=found,
    )  # fmt: skip


def test_a_behavior_leaves_the_ring_and_the_sub_sequence() -> None:
    found = BehaviorRows(*(column.unsqueeze(1) for column in rows([3, 5])))
    changed = without(batch_of(rows([2, 3, 5]), found), 1)
    assert changed.behaviors.items.tolist() == [[2, 5, 0]]
    assert changed.behaviors.mask.tolist() == [[True, True, False]]
    assert changed.found is not None
    assert changed.found.ages_ms.tolist() == [[[5, 0]]]
    assert changed.found.mask.tolist() == [[[True, False]]]


def test_what_is_not_in_the_sub_sequence_changes_nothing_there() -> None:
    found = BehaviorRows(*(column.unsqueeze(1) for column in rows([3, 5])))
    changed = without(batch_of(rows([2, 3, 5]), found), 0)
    assert changed.behaviors.items.tolist() == [[3, 5, 0]]
    assert changed.found is not None
    assert changed.found.items.tolist() == [[[3, 5]]]


def test_the_interval_is_wilsons() -> None:
    assert interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert interval(500, 500)[0] > 0.99


def test_readers_without_attention_are_left_out() -> None:
    assert "din" in attending()
    assert "gru4rec" not in attending()
