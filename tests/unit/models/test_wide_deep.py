"""The wide part of a Wide & Deep in the composition."""

import torch

from models.ctr_config import default_config
from models.ctr_model import CtrModel
from models.request_rows import BehaviorRows, RequestBatch
from models.vocabulary import TableRows
from models.wide_deep import WideDeepReader

SEED = 11


def make_batch() -> RequestBatch:
    """Return two requests: one with three behaviors and two candidates, one with nothing done."""
    mask = torch.tensor([[True, True, True], [False, False, False]])
    rows = torch.tensor([[1, 2, 3], [0, 0, 0]])
    one = torch.zeros(2, dtype=torch.int64)
    return RequestBatch(
        behaviors=BehaviorRows(rows, rows, rows, rows * 1000, mask),
        candidate_items=torch.tensor([[3, 4], [2, 0]]),
        candidate_categories=torch.tensor([[3, 3], [2, 0]]),
        candidate_prices=torch.zeros(2, 2, dtype=torch.int64),
        candidate_mask=torch.tensor([[True, True], [True, False]]),
        users=one, pages=one, hours=one, weekdays=one, triggers=one, trigger_categories=one,
        trigger_mask=torch.tensor([False, False]),
    )  # fmt: skip


def test_the_wide_part_is_added_to_the_logit() -> None:
    torch.manual_seed(SEED)
    model = CtrModel(default_config("wide-deep", n_types=3), TableRows(6, 5, 4)).eval()
    batch = make_batch()
    assert isinstance(model.reader, WideDeepReader)
    with torch.no_grad():
        whole, wide = model(batch).logits, model.reader(model.see(batch)).logits
        model.reader.wide.weight.zero_()
        deep = model(batch).logits
    assert wide is not None
    assert wide[batch.candidate_mask].abs().min() > 1e-3
    torch.testing.assert_close(whole - deep, wide[batch.candidate_mask])


def test_the_baseline_with_trigger_gets_it_as_an_input() -> None:
    """W&D+TR of the DEI2N paper: the trigger joins the deep part, nothing attends."""
    config = default_config("wide-deep", n_types=3)
    assert config.trigger == "input"
    assert config.name == "wide-deep"
