"""The self-attention block against torch's own, and what masks and causality hide."""

import pytest
import torch
from torch import Tensor, nn

from interest_center.core.errors import ConfigurationError
from models.self_attention import SelfAttention

DIM, HEADS, LENGTH = 8, 2, 6


def make_block(causal: bool = False, dropout: float = 0.0) -> SelfAttention:
    torch.manual_seed(1)
    block = SelfAttention(DIM, HEADS, dropout, causal)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_(std=0.7)
    return block.eval()


def make_behaviors() -> tuple[Tensor, Tensor]:
    """Return behaviors and mask of three requests: six, three and none."""
    torch.manual_seed(2)
    return torch.randn(3, LENGTH, DIM), torch.arange(LENGTH) < torch.tensor([6, 3, 0])[:, None]


def peer(block: SelfAttention, behaviors: Tensor, mask: Tensor) -> Tensor:
    """Return what torch's multi-head attention gives with the same weights."""
    other = nn.MultiheadAttention(DIM, HEADS, bias=False, batch_first=True)
    hidden = None
    if block.causal:
        hidden = ~torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    with torch.no_grad():
        other.in_proj_weight.copy_(block.qkv.weight)
        other.out_proj.weight.copy_(block.out.weight)
        heads, _ = other(
            behaviors, behaviors, behaviors, key_padding_mask=~mask, attn_mask=hidden,
            need_weights=False,
        )  # fmt: skip
        found: Tensor = block.norm(behaviors + heads)
    return found


@pytest.mark.parametrize("causal", [False, True])
def test_it_equals_torchs_own(causal: bool) -> None:
    block, (behaviors, mask) = make_block(causal), make_behaviors()
    with torch.no_grad():
        found = block(behaviors, mask)
    some = mask.any(1)
    expected = peer(block, behaviors[some], mask[some])
    torch.testing.assert_close(found[some][mask[some]], expected[mask[some]])


def test_padding_changes_nothing_and_no_behavior_is_finite() -> None:
    block, (behaviors, mask) = make_block(), make_behaviors()
    with torch.no_grad():
        found = block(behaviors, mask)
        other = block(torch.where(mask.unsqueeze(-1), behaviors, 1e3), mask)
        alone = block(behaviors[1:2, :3], mask[1:2, :3])
    torch.testing.assert_close(found[mask], other[mask])
    torch.testing.assert_close(found[1, :3], alone[0])
    assert found.isfinite().all()


@pytest.mark.parametrize("causal", [False, True])
def test_who_attends_to_whom(causal: bool) -> None:
    block, (behaviors, mask) = make_block(causal), make_behaviors()
    changed = behaviors.clone()
    changed[0, 3] += 1.0
    with torch.no_grad():
        far = (block(changed, mask) - block(behaviors, mask)).abs().amax(-1)
    assert (far[0, 3:] > 1e-5).all()
    assert (far[0, :3] == 0).all() == causal
    assert (far[1:] == 0).all()


def test_dropout_is_of_what_is_added_and_in_training_only() -> None:
    block, (behaviors, mask) = make_block(dropout=1.0), make_behaviors()
    with torch.no_grad():
        evaluated = block(behaviors, mask)
        trained = block.train()(behaviors, mask)
    torch.testing.assert_close(trained, block.norm(behaviors))
    assert not torch.allclose(evaluated[mask], trained[mask])


def test_heads_share_the_width() -> None:
    with pytest.raises(ConfigurationError, match="3 heads"):
        SelfAttention(8, 3)
