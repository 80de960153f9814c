"""DIEN's published numbers (vectors 03 and 04) against product code, and against the twin."""

import copy
import importlib
from typing import Any

import numpy as np
import pytest
import torch
from dien_weights import fill_gated
from golden_vectors import TOLERANCE, close, tensor, vectors
from torch import Tensor

from models import recurrent_kernels
from models.dien import EvolvingLayer, Form
from models.layers import GruCell, masked_softmax
from models.next_behavior import next_behavior_loss
from models.recurrent import GatedLayer

GATED = "03_gru_agru_augru.json"
AUXILIARY = "04_dien_aux_loss.json"
#: The vector's README: of implementations in float32.
SINGLE = {"atol": 2e-5, "rtol": 0}


def mask_of(vector: dict[str, Any], n_steps: int) -> Tensor:
    lengths = torch.tensor(vector["input"]["length"])
    return torch.arange(n_steps) < lengths[:, None]


def attention_of(vector: dict[str, Any]) -> Tensor:
    """Return the attention, 0 at padding; the inputs there are something else."""
    return tensor(vector["input"]["attention"])


# --- 03 gated layers ------------------------------------------------------------------------------


def gated_layer(vector: dict[str, Any], update_gate: bool = True) -> GatedLayer:
    weights = vector["weights"]
    layer = GatedLayer(len(weights["Wu"]), len(weights["bu"]), update_gate)
    fill_gated(layer, weights)
    return layer


@vectors(GATED)
@pytest.mark.parametrize("name", ["gru_paper", "agru_paper", "augru_paper"])
@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gated_layer(vector: dict[str, Any], name: str, trained: bool, dtype: torch.dtype) -> None:
    """Product code, on the way of training and on that of ranking; compiled in float32."""
    x = tensor(vector["input"]["X"])
    mask = mask_of(vector, x.shape[1])
    share = mask.double() if name == "gru_paper" else attention_of(vector)
    layer = gated_layer(vector, update_gate=name != "agru_paper").to(dtype)
    with torch.set_grad_enabled(trained):
        states, last = layer(x.to(dtype), share.unsqueeze(-1).to(dtype))
    tolerance = SINGLE if dtype == torch.float32 else TOLERANCE
    for i, walk in enumerate(vector["output"][name]):
        close(states[: len(walk["states"]), i], walk["states"], **tolerance)
        close(last[i, 0], walk["final"], **tolerance)


@vectors(GATED)
@pytest.mark.parametrize(
    ("form", "name"),
    [("agru", "agru_paper"), ("augru", "augru_paper"), ("augru_published", "augru_code")],
)
def test_evolving_layer(vector: dict[str, Any], form: Form, name: str) -> None:
    """Product code: the final states, which are the interest."""
    x = tensor(vector["input"]["X"])
    # The vector's inputs are wider than its states; the layer of a DIEN has both alike.
    layer = EvolvingLayer(x.shape[2], form)
    inner: GatedLayer | GruCell = gated_layer(vector, update_gate=form != "agru")
    if form == "augru_published":
        inner = GruCell(x.shape[2], len(vector["weights"]["bu"]))
        fill_gated(inner, vector["weights"])
    layer.layer = inner
    final = layer(x, attention_of(vector).unsqueeze(-1), mask_of(vector, x.shape[1]))
    close(final[:, 0], [walk["final"] for walk in vector["output"][name]])


@vectors(GATED)
@pytest.mark.parametrize("name", ["gru_tf", "augru_code"])
def test_published_cell(vector: dict[str, Any], name: str) -> None:
    """Product code, step by step."""
    x, attention = tensor(vector["input"]["X"]), attention_of(vector)
    cell = GruCell(x.shape[2], len(vector["weights"]["bu"]))
    fill_gated(cell, vector["weights"])
    for i, walk in enumerate(vector["output"][name]):
        hidden = x.new_zeros(1, 2)
        for t, expected in enumerate(walk["states"]):
            a = attention[i, t].view(1, 1) if name == "augru_code" else None
            hidden = cell(x[i, t, None], hidden, a)
            close(hidden[0], expected)
        close(hidden[0], walk["final"])


@vectors(GATED)
def test_attention_is_the_softmax_over_real_steps(vector: dict[str, Any]) -> None:
    """Product code; the scores are given."""
    scores = tensor(vector["input"]["raw_score"])
    close(masked_softmax(scores, mask_of(vector, scores.shape[1]), 1), attention_of(vector))


@vectors(GATED)
@pytest.mark.parametrize("share", ["0.0", "0.25", "1.0"])
def test_one_step_from_a_state(vector: dict[str, Any], share: str) -> None:
    """Product code: the compiled step, in float32, and the published cell."""
    layer = gated_layer(vector)
    x, hidden = tensor(vector["input"]["X"])[0, :1], tensor([vector["input"]["probe_h"]])
    given, driven = torch.addmm(layer.bias, x, layer.of_input), hidden @ layer.of_hidden
    arrays = [
        part.detach().numpy().astype(np.float32)
        for part in (given, driven, tensor([float(share)]), hidden)
    ]
    kept, following = np.empty((1, 8), np.float32), np.empty((1, 2), np.float32)
    recurrent_kernels.advance(*arrays, kept, following)
    expected = vector["output"]["probe"][f"a={share}"]
    close(following[0], expected["augru_paper"], **SINGLE)
    if share == "0.0":
        np.testing.assert_array_equal(following, arrays[3])
    cell = GruCell(3, 2)
    fill_gated(cell, vector["weights"])
    close(cell(x, hidden, tensor([[float(share)]]))[0], expected["augru_code"])


@vectors(GATED)
@pytest.mark.parametrize("form", ["gru", "agru", "augru", "published"])
def test_every_gate_moves_the_numbers(vector: dict[str, Any], form: str) -> None:
    """By a thousandth: no weight is silent but the update gate that an AGRU has not."""
    x, mask = tensor(vector["input"]["X"]), mask_of(vector, 4)
    name = {
        "gru": "gru_paper", "agru": "agru_paper", "augru": "augru_paper", "published": "augru_code",
    }[form]  # fmt: skip
    expected = np.array([walk["final"] for walk in vector["output"][name]])
    for weight in vector["weights"]:
        changed = copy.deepcopy(vector)
        changed["weights"][weight] = (np.array(changed["weights"][weight]) + 1e-3).tolist()
        share = mask.double() if form == "gru" else attention_of(vector)
        if form == "published":
            layer = EvolvingLayer(3, "augru_published")
            layer.layer = GruCell(3, 2)
            fill_gated(layer.layer, changed["weights"])
            final = layer(x, share.unsqueeze(-1), mask)
        else:
            final = gated_layer(changed, form != "agru")(x, share.unsqueeze(-1))[1]
        moved = np.abs(final[:, 0].detach().numpy() - expected).max()
        assert (moved < 1e-9) == (form == "agru" and weight[1] == "u"), weight


@vectors(GATED)
def test_gated_twin(vector: dict[str, Any]) -> None:
    """The twin, so that both sides of the contract check stand on the numbers."""
    twin = importlib.import_module("reference.dien")
    given, out, w = vector["input"], vector["output"], vector["weights"]
    for name, step in (
        ("gru_paper", lambda x, h, a: twin.gru(x, h, w)),
        ("agru_paper", lambda x, h, a: twin.agru(x, h, a, w)),
        ("augru_paper", lambda x, h, a: twin.augru(x, h, a, w)),
        ("gru_tf", lambda x, h, a: twin.published(x, h, 0.0, w)),
        ("augru_code", lambda x, h, a: twin.published(x, h, a, w)),
    ):
        for xs, weights, walk in zip(given["X"], given["attention"], out[name], strict=True):
            h = [0.0, 0.0]
            for x, a, expected in zip(xs, weights, walk["states"], strict=False):
                h = step(x, h, a)
                close(h, expected)
            close(h, walk["final"])
    for name, expected in out["probe"].items():
        a = float(name.removeprefix("a="))
        probe = (given["X"][0][0], given["probe_h"], a, w)
        close(twin.augru(*probe), expected["augru_paper"])
        close(twin.published(*probe), expected["augru_code"])
    for scores, n, expected in zip(
        given["raw_score"], given["length"], given["attention"], strict=True
    ):
        close(twin.softmax(scores[:n]), expected[:n])
    finals = [walk["final"] for walk in out["augru_paper"]]
    for xs, n, weights, final in zip(
        given["X"], given["length"], given["attention"], finals, strict=True
    ):
        close(twin.evolve("augru", xs[:n], weights[:n], w), final)


# --- 04 auxiliary loss ----------------------------------------------------------------------------


def check_divisors(loss: Tensor, real: Tensor, out: dict[str, Any]) -> None:
    """Ours is the mean over real steps; the other divisors make the other numbers of it."""
    total = loss * real.sum()
    close(loss, out["masked_mean"])
    close(total / real.numel(), out["code_official"])
    close(total / (2 * real.sum()), out["bce_concat"])


def published_logits(states: Tensor, keys: Tensor, w: dict[str, Any]) -> Tensor:
    """Published code's network, composed here: the paper has an inner product in its place."""
    z = torch.cat((states, keys), -1) * tensor(w["gamma"]) / np.sqrt(1.001) + tensor(w["beta"])
    for k in ("1", "2"):
        z = torch.sigmoid(z @ tensor(w["W" + k]) + tensor(w["b" + k]))
    p = torch.softmax(z @ tensor(w["W3"]) + tensor(w["b3"]), -1)[..., 0] + 1e-8
    return torch.logit(p)


def published_loss(vector: dict[str, Any]) -> Tensor:
    """Return the product's loss of published code's logits."""
    given = vector["input"]
    states = tensor(given["h"])[:, :-1]
    done, not_done = (
        published_logits(states, tensor(given[part])[:, 1:], vector["weights"])
        for part in ("pos", "neg")
    )
    return next_behavior_loss(done, not_done, mask_of(vector, 4)[:, 1:])


@vectors(AUXILIARY)
def test_next_behavior_loss(vector: dict[str, Any]) -> None:
    """Product code: eq 6 with the inner product; the paper divides by the users."""
    given, out = vector["input"], vector["output"]
    states, real = tensor(given["h"])[:, :-1], mask_of(vector, 4)[:, 1:]
    done, not_done = ((states * tensor(given[part])[:, 1:]).sum(-1) for part in ("pos", "neg"))
    loss = next_behavior_loss(done, not_done, real)
    close(loss * real.sum() / len(real), out["paper_literal_inner_product"])


@vectors(AUXILIARY)
def test_published_network_and_divisors(vector: dict[str, Any]) -> None:
    """Product code but for the network, which the paper has not (``published_logits``)."""
    given, out = vector["input"], vector["output"]
    states = tensor(given["h"])[:, :-1]
    for part, expected in (("pos", out["p_pos"]), ("neg", out["p_neg"])):
        logits = published_logits(states, tensor(given[part])[:, 1:], vector["weights"])
        close(torch.sigmoid(logits), expected)
    check_divisors(published_loss(vector), mask_of(vector, 4)[:, 1:], out)


@vectors(AUXILIARY)
def test_every_weight_of_the_network_moves_the_loss(vector: dict[str, Any]) -> None:
    for name in vector["weights"]:
        changed = copy.deepcopy(vector)
        values = np.array(changed["weights"][name])
        # In turns: both logits of a softmax moved alike move nothing.
        values += 1e-3 * (-1.0) ** np.arange(values.size).reshape(values.shape)
        changed["weights"][name] = values.tolist()
        moved = published_loss(changed).item() - vector["output"]["masked_mean"]
        assert abs(moved) > 1e-8, name


@vectors(AUXILIARY)
@pytest.mark.parametrize("name", ["h", "pos", "neg"])
def test_every_real_step_moves_the_loss_and_no_padding(vector: dict[str, Any], name: str) -> None:
    """The state of the last behavior has nothing to tell, the first behavior is told by none."""
    out = vector["output"]["masked_mean"]
    first, last = (0, -1) if name == "h" else (1, 0)
    for i, length in enumerate(vector["input"]["length"]):
        for t in range(4):
            changed = copy.deepcopy(vector)
            changed["input"][name][i][t][0] += 1e-3
            moved = abs(published_loss(changed).item() - out) > 1e-9
            assert moved == (first <= t < length + last), (i, t)


@vectors(AUXILIARY)
def test_auxiliary_twin(vector: dict[str, Any]) -> None:
    """The twin, so that both sides of the contract check stand on the numbers."""
    twin = importlib.import_module("reference.dien")
    given, out, w = vector["input"], vector["output"], vector["weights"]
    histories = []
    terms: list[float] = []
    for i, n in enumerate(given["length"]):
        h, done, not_done = (given[name][i][:n] for name in ("h", "pos", "neg"))
        histories.append((h, done, not_done))
        p, q = (
            [twin.published_probability(a, e, w) for a, e in zip(h[:-1], rows[1:], strict=True)]
            for rows in (done, not_done)
        )
        close(p, out["p_pos"][i][: n - 1])
        close(q, out["p_neg"][i][: n - 1])
        terms += twin.step_losses(p, q)
    close(sum(terms) / len(terms), out["masked_mean"])
    close(sum(terms) / 6, out["code_official"])
    close(twin.mean_loss(histories) * len(terms) / 2, out["paper_literal_inner_product"])
