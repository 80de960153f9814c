"""What DMIN promises beyond the numbers of its twin."""

import math

import pytest
import torch
from torch import Tensor
from trigger_requests import DIM, REQUEST_DIM, make_requests
from trigger_weights import disturb

from interest_center.core.errors import ConfigurationError
from models.dmin import DminConfig, DminReader
from models.reading import ReaderInputs, Seen
from models.self_attention import SelfAttention

SEED = 5
INPUTS = ReaderInputs(DIM, REQUEST_DIM, n_types=0)


def make_reader(config: DminConfig) -> DminReader:
    torch.manual_seed(SEED)
    reader = DminReader(config, INPUTS)
    disturb(reader, 0.3)
    return reader


def of_first_request(length: int, keys: Tensor, negatives: Tensor) -> Seen:
    """Return one request with so many behaviors."""
    seen = make_requests(SEED).seen
    behaviors = seen.behaviors._replace(
        keys=keys,
        mask=torch.arange(keys.shape[1])[None] < length,
        types=torch.zeros(keys.shape[:2], dtype=torch.int64),
        ages_ms=torch.zeros(keys.shape[:2], dtype=torch.int64),
    )
    return seen._replace(
        candidates=seen.candidates[:1],
        behaviors=behaviors,
        has_trigger=seen.has_trigger[:1],
        trigger=seen.trigger[:1],
        negatives=negatives,
    )


def test_the_auxiliary_loss_sees_no_future() -> None:
    """A fourth behavior adds its own step to the loss and leaves the steps before it alone."""
    reader = make_reader(DminConfig(auxiliary_weight=1.0))
    keys, negatives = torch.randn(1, 4, DIM), torch.randn(1, 4, DIM)
    # Zeros have the logit 0 whatever the state before them is: a step of 2 log 2.
    keys[:, 3] = negatives[:, 3] = 0
    losses = []
    for length in (3, 4):
        loss = reader(of_first_request(length, keys, negatives)).loss
        assert loss is not None
        losses.append(loss.item() * (length - 1))
    assert losses[1] - losses[0] == pytest.approx(2 * math.log(2), abs=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_only_a_causal_block_hides_the_future(causal: bool) -> None:
    torch.manual_seed(SEED)
    block = SelfAttention(8, 2, causal=causal)
    disturb(block)
    rows, mask = torch.randn(1, 5, 8), torch.ones(1, 5, dtype=torch.bool)
    changed = rows.clone()
    changed[:, 3] += 1
    with torch.no_grad():
        moved = (block(rows, mask) - block(changed, mask)).abs().amax((0, 2))
    assert (moved[3:] > 1e-3).all()
    assert (moved[:3] == 0).all() if causal else (moved[:3] > 1e-4).all()


def test_without_weight_there_is_no_auxiliary_loss() -> None:
    reader = make_reader(DminConfig(auxiliary_weight=0.0))
    assert not reader.wants_negatives
    seen = make_requests(SEED).seen
    assert reader(seen._replace(negatives=seen.behaviors.keys)).loss is None


def test_attention_is_shared_out_among_the_behaviors_that_there_are() -> None:
    reader = make_reader(DminConfig())
    seen = make_requests(SEED).seen
    with torch.no_grad():
        weights = reader.attention(seen)
    mask = seen.behaviors.mask
    assert weights.shape == (*mask.shape, seen.candidates.shape[1])
    assert (weights[~mask] == 0).all()
    total = mask.any(1).to(weights.dtype)[:, None].expand(-1, weights.shape[2])
    torch.testing.assert_close(weights.sum(1), total)
    assert weights[0].std(0).min() > 1e-3


@pytest.mark.parametrize("heads", ["refiner_heads", "interest_heads"])
def test_heads_must_share_the_width(heads: str) -> None:
    with pytest.raises(ConfigurationError, match="3 heads do not share a width of 8") as caught:
        DminReader(DminConfig(**{heads: 3}), INPUTS)
    assert caught.value.hint is not None
