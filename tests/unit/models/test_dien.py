"""What DIEN promises beyond the numbers of its twin."""

from typing import Any

import pytest
import torch
from shared_walks import DIM, make_walking
from torch import Tensor
from trigger_weights import disturb

from models.dien import BilinearAttention, DienConfig, DienReader, EvolvingLayer, Form
from models.layers import GruCell
from models.reading import ReaderInputs, Seen
from models.recurrent import GatedLayer

SEED = 5
INPUTS = ReaderInputs(DIM, 0, n_types=0, history_length=4, trigger=True)


def make_reader(**values: Any) -> DienReader:
    torch.manual_seed(SEED)
    reader = DienReader(DienConfig(**values), INPUTS)
    disturb(reader)
    return reader


def make_layer(form: Form) -> EvolvingLayer:
    torch.manual_seed(SEED)
    layer = EvolvingLayer(DIM, form)
    disturb(layer)
    return layer


def states_and_mask() -> tuple[Tensor, Tensor]:
    torch.manual_seed(SEED)
    return torch.randn(2, 3, DIM), torch.tensor([[True] * 3, [True, False, False]])


# --- evolving layer -------------------------------------------------------------------------------


def test_augru_without_attention_stands_still() -> None:
    states, mask = states_and_mask()
    layer = make_layer("augru")
    assert (layer(states, torch.zeros(2, 3, 1), mask) == 0).all()
    attention = torch.tensor([0.5, 0.0, 0.0]).view(1, 3, 1).expand(2, -1, -1)
    moved = layer(states, attention, mask)
    first = layer(states[:, :1], attention[:, :1], mask[:, :1])
    assert torch.equal(moved, first)


def test_augru_of_full_attention_is_a_gru() -> None:
    states, mask = states_and_mask()
    layer = make_layer("augru")
    share = mask.unsqueeze(-1).float()
    assert isinstance(layer.layer, GatedLayer)
    expected = layer.layer(states, share)[1]
    torch.testing.assert_close(layer(states, share, mask), expected)


def test_agru_of_full_attention_forgets_all_but_the_candidate_state() -> None:
    """The new state is c, which from a state of zeros is tanh(x Wh + bh)."""
    states, mask = states_and_mask()
    layer = make_layer("agru")
    assert isinstance(layer.layer, GatedLayer)
    found = layer(states[:, :1], torch.ones(2, 1, 1), mask[:, :1])[:, 0]
    given = states[:, 0] @ layer.layer.of_input[:, :DIM] + layer.layer.bias[:DIM]
    torch.testing.assert_close(found, torch.tanh(given))


def test_aigru_without_attention_takes_steps_of_zero_inputs() -> None:
    """Attention scales the input and not the step; only padding is no step."""
    states, mask = states_and_mask()
    layer = make_layer("aigru")
    nothing = torch.zeros(2, 3, 1)
    found = layer(states, nothing, mask)
    assert isinstance(layer.layer, GatedLayer)
    expected = layer.layer(torch.zeros_like(states), mask.unsqueeze(-1).float())[1]
    torch.testing.assert_close(found, expected)
    assert (found != 0).all()
    one_step = layer(states[1:, :1], nothing[1:, :1], mask[1:, :1])
    torch.testing.assert_close(found[1:], one_step)


def test_published_form_without_attention_is_a_usual_step() -> None:
    states, mask = states_and_mask()
    layer = make_layer("augru_published")
    found = layer(states, torch.zeros(2, 3, 1), mask)
    cell = layer.layer
    assert isinstance(cell, GruCell)
    hidden = torch.zeros(2, DIM)
    for t in range(3):
        hidden = torch.where(mask[:, t, None], cell(states[:, t], hidden), hidden)
    torch.testing.assert_close(found[:, 0], hidden)
    assert (found != 0).all()


def test_published_form_of_full_attention_overwrites() -> None:
    states, _ = states_and_mask()
    layer = make_layer("augru_published")
    alone = torch.ones(2, 3, 1)
    cell = layer.layer
    assert isinstance(cell, GruCell)
    with torch.no_grad():
        cell.candidate[DIM:] = 0  # what is overwritten has no other way to be seen
    other = states.clone()
    other[:, :2] += 1
    every = torch.ones(2, 3, dtype=torch.bool)
    assert torch.equal(layer(states, alone, every), layer(other, alone, every))


@pytest.mark.parametrize("form", ["augru", "aigru", "agru", "augru_published"])
def test_candidates_evolve_apart(form: Form) -> None:
    states, mask = states_and_mask()
    layer = make_layer(form)
    attention = torch.rand(2, 3, 4) * mask.unsqueeze(-1)
    together = layer(states, attention, mask)
    for n in range(4):
        alone = layer(states, attention[..., n : n + 1], mask)[:, 0]
        torch.testing.assert_close(together[:, n], alone)


# --- attention ------------------------------------------------------------------------------------


def test_bilinear_attention_shares_out_what_is_real() -> None:
    unit = BilinearAttention(DIM, DIM)
    states, mask = states_and_mask()
    mask[1] = False
    weights = unit.weights(torch.randn(2, 4, DIM), states, mask)
    torch.testing.assert_close(weights[0].sum(0), torch.ones(4))
    assert (weights[1] == 0).all()


@pytest.mark.parametrize("attention", ["bilinear", "unit"])
def test_attention_stands_at_the_newest_behaviors(attention: Any) -> None:
    seen = make_walking(SEED).together
    weights = make_reader(attention=attention).attention(seen)
    mask = seen.behaviors.mask
    assert weights.shape == (*mask.shape, seen.candidates.shape[1])
    at = torch.arange(mask.shape[1])
    lengths = mask.sum(1, keepdim=True)
    newest = mask & (at >= lengths - INPUTS.history_length)
    assert (weights[newest] > 0).all()
    assert (weights[~newest] == 0).all()
    expected = mask.any(1).float().unsqueeze(1).expand_as(weights[:, 0])
    torch.testing.assert_close(weights.sum(1), expected)


# --- trigger --------------------------------------------------------------------------------------


def test_without_a_trigger_its_parts_are_zeros() -> None:
    seen = make_walking(SEED).together
    reader = make_reader()
    none = seen._replace(
        trigger=torch.zeros_like(seen.trigger), has_trigger=torch.zeros_like(seen.has_trigger)
    )
    found, expected = reader(none).interest, reader(seen).interest
    parts = found.split(DIM, -1)
    for k in (1, 2, 3):
        assert (parts[k] == 0).all()
    for k in (0, 4, 5):
        assert torch.equal(parts[k], expected.split(DIM, -1)[k])
    assert (expected.split(DIM, -1)[1][seen.behaviors.mask.any(1)] != 0).any(-1).all()


# --- auxiliary loss -------------------------------------------------------------------------------


def with_negatives(seen: Seen) -> Seen:
    assert seen.walk is not None
    torch.manual_seed(SEED)
    return seen._replace(negatives=torch.randn_like(seen.walk.keys))


def loss_of(reader: DienReader, seen: Seen) -> float:
    loss = reader(seen).loss
    assert loss is not None
    return loss.item()


def test_auxiliary_loss_counts_each_walk_once() -> None:
    """Not once for each of its requests."""
    seen = with_negatives(make_walking(SEED).together)
    reader = make_reader()
    assert seen.walk_at is not None
    first = [0, 2, 3]  # a request of each walk that has behaviors
    fewer = seen._replace(
        behaviors=type(seen.behaviors)(*(column[first] for column in seen.behaviors)),
        candidates=seen.candidates[first], walk_at=seen.walk_at[first],
        trigger=seen.trigger[first], has_trigger=seen.has_trigger[first],
    )  # fmt: skip
    expected = loss_of(reader, fewer)
    assert expected > 0
    assert loss_of(reader, seen) == expected
    walks = seen.walk
    assert walks is not None
    alone = seen._replace(
        behaviors=walks, walk=None, walk_at=None, candidates=seen.candidates[:4],
        trigger=seen.trigger[:4], has_trigger=seen.has_trigger[:4],
    )  # fmt: skip
    assert loss_of(reader, alone) == pytest.approx(expected, abs=1e-6)


def test_a_state_tells_only_what_comes_after_it() -> None:
    """Each term of the loss by a walk of the past alone, cut before the behavior that it tells."""
    seen = with_negatives(make_walking(SEED).together)
    reader = make_reader(auxiliary_weight=1.0)
    walks, others = seen.walk, seen.negatives
    assert walks is not None
    assert others is not None
    terms = []
    for keys, real, beside in zip(walks.keys, walks.mask, others, strict=True):
        for t in range(1, int(real.sum())):
            past = reader.extractor(keys[None, :t], torch.ones(1, t, 1))[1][0, 0]
            terms.append(torch.nn.functional.softplus(-past @ keys[t]))
            terms.append(torch.nn.functional.softplus(past @ beside[t]))
    expected = torch.stack(terms).sum() / (len(terms) / 2)
    assert loss_of(reader, seen) == pytest.approx(expected.item(), abs=1e-5)


def test_auxiliary_loss_has_no_part_in_padding_nor_in_first_behaviors() -> None:
    """Of what was not done nothing beside the first behavior counts: no state stands before it."""
    seen = with_negatives(make_walking(SEED).together)
    assert seen.walk is not None
    assert seen.negatives is not None
    negatives = seen.negatives.clone().requires_grad_()
    keys = seen.walk.keys.clone().requires_grad_()
    given = seen._replace(negatives=negatives, walk=seen.walk._replace(keys=keys))
    loss = make_reader()(given).loss
    assert loss is not None
    loss.backward()
    counted = seen.walk.mask.clone()
    counted[:, 0] = False
    assert negatives.grad is not None
    assert keys.grad is not None
    assert ((negatives.grad != 0).any(-1) == counted).all()
    assert (keys.grad[~seen.walk.mask] == 0).all()


def test_auxiliary_loss_of_no_history_is_zero() -> None:
    seen = with_negatives(make_walking(SEED).together)
    assert seen.walk is not None
    empty = seen._replace(
        walk=seen.walk._replace(mask=torch.zeros_like(seen.walk.mask)),
        behaviors=seen.behaviors._replace(mask=torch.zeros_like(seen.behaviors.mask)),
    )
    assert loss_of(make_reader(), empty) == 0


def test_auxiliary_loss_is_there_only_where_it_is_asked_for() -> None:
    seen = with_negatives(make_walking(SEED).together)
    assert make_reader().wants_negatives
    silent = make_reader(auxiliary_weight=0.0)
    assert not silent.wants_negatives
    assert silent(seen).loss is None
    assert make_reader()(seen._replace(negatives=None)).loss is None


def test_config_of_a_manifest_is_taken() -> None:
    """Tuples come back from JSON as lists."""
    reader = make_reader(attention="unit", attention_hidden=[4, 3])
    assert reader(make_walking(SEED).together).interest.isfinite().all()
