"""The gated layers: their hand-written way back, their compiled way, and walks that are shared."""

from typing import Any

import pytest
import torch
from shared_walks import DIM, make_walking
from torch import Tensor
from trigger_weights import disturb

from models.dien import DienConfig, DienReader
from models.gru4rec import Gru4RecConfig, Gru4RecReader
from models.pooling import sum_of_newest
from models.reading import Reader, ReaderInputs
from models.recurrent import GatedLayer, walk_behaviors

SEED = 11
S, T, N, D, H = 3, 5, 2, 4, 6
LENGTHS = [5, 0, 2]
FORMS = pytest.mark.parametrize("form", ["gru", "agru", "augru"])


def mask() -> Tensor:
    return torch.arange(T) < torch.tensor(LENGTHS)[:, None]


def make_layer(form: str, dtype: torch.dtype = torch.float32, hidden: int = H) -> GatedLayer:
    torch.manual_seed(SEED)
    layer = GatedLayer(D, hidden, update_gate=form != "agru")
    disturb(layer)
    return layer.to(dtype)


def make_inputs(form: str, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Return inputs and shares, of which the padding is as large as anything."""
    torch.manual_seed(SEED + 1)
    x, share = torch.randn(S, T, D), torch.rand(S, T, N)
    if form == "gru":
        share = torch.ones(S, T, 1)
    return x.to(dtype), (share * mask().unsqueeze(-1)).to(dtype)


@FORMS
@pytest.mark.parametrize("which", ["states", "last", "both"])
def test_the_way_back_is_the_gradient(form: str, which: str) -> None:
    """Of inputs, shares and weights, by finite differences in float64."""
    layer = make_layer(form, torch.float64)
    x, share = (one.requires_grad_() for one in make_inputs(form, torch.float64))
    of_input, bias, of_hidden = layer.parameters()

    def outputs(x: Tensor, share: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        named = zip(("of_input", "bias", "of_hidden"), weights, strict=True)
        states, last = torch.func.functional_call(layer, dict(named), (x, share))
        return {"states": (states,), "last": (last,), "both": (states, last)}[which]

    assert torch.autograd.gradcheck(outputs, (x, share, of_input, bias, of_hidden))


def gradients_of(layer: GatedLayer, x: Tensor, share: Tensor, aim: Tensor) -> list[Tensor]:
    """Return all outputs, and the gradients of one number made of them."""
    inputs = (x.clone().requires_grad_(), share.clone().requires_grad_())
    states, last = layer(*inputs)
    of = (states * aim.to(x.dtype)).sum() + last.square().sum()
    grads = torch.autograd.grad(of, (*inputs, *layer.parameters()))
    return [states, last, *grads]


@FORMS
@pytest.mark.parametrize("hidden", [6, 32])
def test_the_compiled_way_equals_the_other(form: str, hidden: int) -> None:
    """Float32 on a processor against float64, forward and back."""
    x, share = make_inputs(form)
    aim = torch.randn(T, share.shape[0] * share.shape[2], hidden)
    compiled = gradients_of(make_layer(form, hidden=hidden), x, share, aim)
    plain = gradients_of(make_layer(form, torch.float64, hidden), x.double(), share.double(), aim)
    for ours, expected in zip(compiled, plain, strict=True):
        torch.testing.assert_close(ours.double(), expected, atol=2e-5, rtol=2e-5)


@FORMS
def test_few_rows_walk_like_many(form: str) -> None:
    """Ranking takes another loop for few rows than for many, and training a third."""
    layer, (x, share) = make_layer(form), make_inputs(form)
    trained = layer(x, share)
    with torch.no_grad():
        few = layer(x, share)
        many = layer(x.repeat(100, 1, 1), share.repeat(100, 1, 1))
    n = share.shape[0] * share.shape[2]
    for found in (few, (many[0][:, :n], many[1][:S])):
        for ours, expected in zip(found, trained, strict=True):
            torch.testing.assert_close(ours, expected, atol=2e-6, rtol=0)


@FORMS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("trained", [True, False])
def test_padding_is_passed_over_to_the_last_bit(
    form: str, dtype: torch.dtype, trained: bool
) -> None:
    layer, (x, share) = make_layer(form, dtype), make_inputs(form, dtype)
    other = torch.where(mask().unsqueeze(-1), x, 1e4)
    with torch.set_grad_enabled(trained):
        (states, last), (again, _) = layer(x, share), layer(other, share)
    torch.testing.assert_close(again, states, atol=0, rtol=0)
    by_walk = states.view(T, S, -1, H)
    for s, length in enumerate(LENGTHS):
        final = by_walk[length - 1, s] if length else torch.zeros_like(by_walk[0, s])
        for t in range(length, T):
            assert torch.equal(by_walk[t, s], final)
        assert torch.equal(last[s], final)


@FORMS
def test_padding_has_no_gradient(form: str) -> None:
    layer, (x, share) = make_layer(form), make_inputs(form)
    x.requires_grad_()
    states, last = layer(x, share)
    (states.square().sum() + last.square().sum()).backward()
    assert x.grad is not None
    assert (x.grad[~mask()] == 0).all()
    assert (x.grad[mask()] != 0).all()


def test_whatever_lies_scattered_in_memory_is_walked_alike() -> None:
    layer, (x, share) = make_layer("augru"), make_inputs("augru")
    aim = torch.randn(T, S * N, H)
    expected = gradients_of(layer, x, share, aim)
    scattered = (x.transpose(0, 1).contiguous().transpose(0, 1), share.mT.contiguous().mT)
    assert not any(one.is_contiguous() for one in scattered)
    for ours, other in zip(gradients_of(layer, *scattered, aim), expected, strict=True):
        torch.testing.assert_close(ours, other)
    kept = x.clone(), share.clone()
    with torch.no_grad():
        layer(x, share)
    assert torch.equal(x, kept[0])
    assert torch.equal(share, kept[1])


# --- walks that requests share --------------------------------------------------------------------

INPUTS = ReaderInputs(DIM, 0, n_types=0, history_length=4)


def dien(**values: Any) -> DienReader:
    trigger = values.pop("trigger", False)
    inputs = ReaderInputs(DIM, 0, n_types=0, history_length=4, trigger=trigger)
    return DienReader(DienConfig(attention_hidden=(4, 3), **values), inputs)


def gru4rec() -> Gru4RecReader:
    return Gru4RecReader(Gru4RecConfig(hidden_dim=5), INPUTS)


READERS = pytest.mark.parametrize(
    "make",
    [
        gru4rec, dien, lambda: dien(trigger=True), lambda: dien(attention="unit"),
        lambda: dien(form="agru"), lambda: dien(form="aigru"),
        lambda: dien(form="augru_published"),
    ],
    ids=["gru4rec", "dien", "dien+tra", "unit", "agru", "aigru", "published"],
)  # fmt: skip


@READERS
@pytest.mark.parametrize("trained", [True, False])
def test_requests_of_one_walk_equal_requests_alone(make: Any, trained: bool) -> None:
    """One scan of a history serves all its requests, each at its own position."""
    walking = make_walking(SEED)
    reader: Reader = make()
    disturb(reader)
    with torch.set_grad_enabled(trained):
        together = reader(walking.together).interest
        alone = [reader(one).interest for one in walking.alone]
    torch.testing.assert_close(together, torch.cat(alone), atol=2e-6, rtol=1e-5)
    if trained:
        aim = torch.randn_like(together)
        weights = list(reader.parameters())
        ours, expected = (
            torch.autograd.grad((found * aim).sum(), weights)
            for found in (together, torch.cat(alone))
        )
        for one, other in zip(ours, expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@READERS
def test_nothing_behind_a_request_reaches_it(make: Any) -> None:
    """What its walk goes on with, and what other walks hold, to the last bit."""
    walking = make_walking(SEED)
    reader: Reader = make()
    disturb(reader)
    i = 1  # three behaviors of a walk of seven
    seen = walking.together
    assert seen.walk is not None
    keys = seen.walk.keys.clone()
    keys[1:] += 1
    keys[0, 3:] -= 1
    with torch.no_grad():
        before = reader(seen).interest
        after = reader(seen._replace(walk=seen.walk._replace(keys=keys))).interest
        assert torch.equal(before[i], after[i])
        assert not torch.equal(before[0], after[0])
        keys[0, 0] += 1
        moved = reader(seen._replace(walk=seen.walk._replace(keys=keys))).interest
        assert not torch.equal(before[i], moved[i])


@READERS
def test_a_user_without_history_reads_zeros(make: Any) -> None:
    """But for the embedding of the trigger, which is there."""
    walking = make_walking(SEED)
    reader: Reader = make()
    disturb(reader)
    empty = ~walking.together.behaviors.mask.any(1)
    assert empty.sum() == 2
    found = reader(walking.together).interest[empty]
    trigger = walking.together.trigger[empty].unsqueeze(1).expand(-1, found.shape[1], -1)
    if isinstance(reader, DienReader) and reader.trigger_unit is not None:
        assert torch.equal(found[..., 2 * DIM : 3 * DIM], trigger)
        found = torch.cat((found[..., : 2 * DIM], found[..., 3 * DIM :]), -1)
    assert (found == 0).all()


def test_newest_behaviors_are_found_in_the_walk() -> None:
    walking = make_walking(SEED)
    seen = walking.together
    layer = GatedLayer(DIM, H)
    walked = walk_behaviors(layer, seen, 4)
    lengths = seen.behaviors.mask.sum(1).tolist()
    for i, (length, alone) in enumerate(zip(lengths, walking.alone, strict=True)):
        newest = range(max(length - 4, 0), length)
        assert walked.column[i][walked.real[i]].tolist() == list(newest)
        states, _ = layer(alone.behaviors.keys, torch.ones(1, len(alone.behaviors.mask[0]), 1))
        if length:
            torch.testing.assert_close(
                walked.newest[i][walked.real[i]], states[newest, 0], atol=2e-6, rtol=0
            )
    assert walked.newest.shape == (len(lengths), 4, H)


@pytest.mark.parametrize("length", [1, 4, 100])
def test_sum_of_newest_leaves_out_the_rest(length: int) -> None:
    behaviors = make_walking(SEED).walks
    found = sum_of_newest(behaviors, length)
    for row, keys, real in zip(found, behaviors.keys, behaviors.mask, strict=True):
        torch.testing.assert_close(row, keys[real][-length:].sum(0))
