"""Published numbers against product code; ``--vectors DIR`` takes another set of the same files.

Product code everywhere, except where a test's docstring names what it composes itself.
"""

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from golden_vectors import close, fill, tensor, vectors
from torch import Tensor

from models.ctr_metrics import auc, group_auc, relative_improvement
from models.din import ActivationUnit
from models.layers import Dice, GruCell, cosine_similarity, erase_add
from models.mimn import Mimn, top_slots, utilisation_loss, utilise
from models.mimn_state import MimnConfig

# --- 01 DIN ---------------------------------------------------------------------------------------


@vectors("01_din_attention.json")
@pytest.mark.parametrize(
    ("weighting", "output"),
    [
        ("paper", "paper"),
        ("softmax", "code_softmax"),
        ("scaled_softmax", "code_softmax_scaled"),
    ],
)
def test_din_attention(vector: dict[str, Any], weighting: Any, output: str) -> None:
    """Product code; an empty history gives zeros in every form, unlike published code."""
    w = vector["weights"]
    q, keys = tensor(vector["input"]["q"]), tensor(vector["input"]["K"])
    lengths = tensor(vector["input"]["length"])
    mask = torch.arange(keys.shape[1])[None, :] < lengths[:, None]
    unit = ActivationUnit(q.shape[1], (len(w["b1"]), len(w["b2"])), weighting)
    with torch.no_grad():
        for layer, k in ((unit.first, 1), (unit.second, 2), (unit.third, 3)):
            layer.weight.copy_(tensor(w[f"W{k}"]).T)
            layer.bias.copy_(tensor(w[f"b{k}"]))
    close(unit.scores(q.unsqueeze(1), keys)[:, :, 0], vector["output"]["raw_score"])
    weights = unit.weights(q.unsqueeze(1), keys, mask)[:, :, 0]
    out = unit(q.unsqueeze(1), keys, mask)[:, 0]
    expected_weights = np.array(vector["output"][f"w_{output}"])
    expected = np.array(vector["output"][f"out_{output}"])
    empty = np.array(vector["input"]["length"]) == 0
    expected_weights[empty], expected[empty] = 0, 0
    close(weights, expected_weights)
    close(out, expected)


@vectors("01_din_attention.json")
def test_din_twin(vector: dict[str, Any]) -> None:
    """The twin, so that both sides of the contract checks stand on the numbers."""
    twin = importlib.import_module("reference.din")
    given, w = vector["input"], vector["weights"]
    for q, keys, n, expected in zip(
        given["q"], given["K"], given["length"], vector["output"]["out_paper"], strict=True
    ):
        close(twin.attend(q, keys[:n], w), expected)


# --- 02 Dice and PReLU ----------------------------------------------------------------------------


@vectors("02_dice_prelu.json")
def test_dice(vector: dict[str, Any]) -> None:
    """Product code for the paper's two forms; published forms are not in the product."""
    w, out = vector["weights"], vector["output"]
    x = tensor(vector["input"]["x"])
    dice = Dice(x.shape[1])
    with torch.no_grad():
        dice.alpha.copy_(tensor(w["alpha"]))
    dice.train()
    close(dice(x), out["dice_paper_train"])
    close(dice.mean, 0.1 * np.array(out["batch_mean"]))
    close(dice.variance, 0.9 + 0.1 * np.array(out["batch_var_population"]))
    dice.eval()
    dice.mean.copy_(tensor(w["moving_mean"]))
    dice.variance.copy_(tensor(w["moving_var"]))
    close(dice(x), out["dice_paper_inference_moving"])


@vectors("02_dice_prelu.json")
def test_prelu(vector: dict[str, Any]) -> None:
    """PReLU of torch, as the perceptron uses it: one slope a channel."""
    prelu = torch.nn.PReLU(3)
    with torch.no_grad():
        prelu.weight.copy_(tensor(vector["weights"]["alpha"]))
    close(prelu(tensor(vector["input"]["x"])), vector["output"]["prelu"])


@vectors("02_dice_prelu.json")
def test_published_dice_differs_as_said(vector: dict[str, Any]) -> None:
    """Composed here from the twin: published Dice is the paper's with other statistics."""
    twin = importlib.import_module("reference.din")
    w, out, rows = vector["weights"], vector["output"], vector["input"]["x"]
    for row, expected in zip(rows, out["dice_code_dien"], strict=True):
        close(
            twin.dice(row, w["alpha"], out["batch_mean"], out["batch_var_population"]),
            expected, atol=1e-7, rtol=0,
        )  # fmt: skip
    for row, expected in zip(rows, out["dice_code_zhougr1993"], strict=True):
        scaled = [b * x for b, x in zip(w["beta"], row, strict=True)]
        p = [twin.sigmoid(v / np.sqrt(1.001)) for v in scaled]
        found = [s * x + (1 - s) * a * x for s, x, a in zip(p, row, w["alpha"], strict=True)]
        close(found, expected)


# --- 05 MIMN --------------------------------------------------------------------------------------


def paper_model(weights: dict[str, Any], form: Any, n_top: int) -> Mimn:
    model = Mimn(
        MimnConfig(
            item_dim=2, category_dim=1, n_slots=4, controller_dim=3, channel_dim=3,
            n_top_channels=n_top, utilisation=form,
        )
    )  # fmt: skip
    fill(model.controller, weights["controller_gru"])
    fill(model.channels, weights["miu_gru"])
    with torch.no_grad():
        w_g = weights["W_g3"] if form == "transfer_matrix" else weights["W_g"]
        model.transfer.copy_(tensor(w_g).view(model.transfer.shape))
    return model


@vectors("05_mimn_step.json")
def test_mimn_paper_step(vector: dict[str, Any]) -> None:
    """Product code, equation by equation with the given keys: eq 1-4, 6 as printed, and 9.

    The vector's form of eq 6 is elementwise and takes the plain g; the product divides g by
    max(1, sum g) first, which the test leaves out by calling ``utilise`` itself.
    """
    given, out = vector["input"]["paper"], vector["output"]["paper"]
    model = paper_model(vector["weights"], "elementwise", given["topk"])
    memory = tensor(vector["input"]["M0"]).unsqueeze(0)
    keys = tensor([given["k_read"], given["k_write"]]).unsqueeze(0)
    weights = torch.softmax(cosine_similarity(keys, memory), -1)
    close(weights[0, 0], out["w_read"])
    close(weights[0, 1], out["w_write"])
    close((weights[:, :1] @ memory)[0, 0], out["r"])
    g = tensor([given["g"]])
    final = utilise(weights[:, 1], g, model.transfer, "elementwise")
    close(final[0], out["w_write_rebalanced"])
    close((g + final)[0], out["g"])
    new = erase_add(memory, final, tensor([given["erase"]]), tensor([given["add"]]))
    close(new[0], out["M"])
    assert [int(i) for i in top_slots(weights[:, 0], given["topk"])] == out["channels"]
    x = tensor([vector["input"]["events"][0]])
    moved = model.induce(tensor([given["S"]]), new, x, weights[:, 0])
    close(moved[0], out["S"])


@vectors("05_mimn_step.json")
@pytest.mark.parametrize(
    ("form", "output"),
    [
        ("elementwise_renormalised", "renormalised_elementwise"),
        ("transfer_matrix", "row_stochastic_matrix"),
    ],
)
def test_mimn_readings_of_the_transfer_matrix(
    vector: dict[str, Any], form: Any, output: str
) -> None:
    """Product code; the second is the default of the product."""
    given, out = vector["input"]["paper"], vector["output"]["paper_alternatives"][output]
    model = paper_model(vector["weights"], form, 1)
    write = tensor([vector["output"]["paper"]["w_write"]])
    g = tensor([given["g"]])
    final = utilise(write, g, model.transfer, form)
    close(final[0], out["w"])
    close((g + final)[0], out["g"])
    memory = tensor(vector["input"]["M0"]).unsqueeze(0)
    new = erase_add(memory, final, tensor([given["erase"]]), tensor([given["add"]]))
    close(new[0], out["M"])


class PublishedMimn:
    """The official code's cell, composed here from product primitives.

    Product: ``GruCell`` (TensorFlow's form), ``cosine_similarity``, ``erase_add``. Composed here,
    because the paper has none of it: key memory, strength, shift and sharpening, channels read from
    the old memory.
    """

    def __init__(self, vector: dict[str, Any], util_reg: int) -> None:
        w = vector["weights"]
        self.controller, self.miu = GruCell(6, 3), GruCell(6, 3)
        fill(self.controller, w["controller_gru"])
        fill(self.miu, w["miu_gru"])
        self.heads, self.out = w["o2p"], w["o2o"]
        self.key_memory = tensor(w["key_M"])
        self.util_reg = util_reg
        given = vector["input"]
        self.state = {
            "h": tensor(given["h0"]), "read": tensor(given["read0"]), "M": tensor(given["M0"]),
            "w_aggre": torch.zeros(4), "sum_aggre": torch.zeros(4, 3), "S": torch.zeros(4, 3),
            "add_sum": torch.zeros(3), "emb_sum": torch.zeros(3),
        }  # fmt: skip

    def sharpen(self, w: Tensor, head: Tensor) -> Tensor:
        s = torch.softmax(head[:3], -1)
        gamma = 4 * (torch.nn.functional.softplus(head[3]) + 1)
        shifted = (s[0] * w + s[1] * torch.roll(w, 1) + s[2] * torch.roll(w, -1)) ** gamma
        return shifted / shifted.sum()

    def cell(self, x: Tensor) -> dict[str, Any]:
        old = self.state
        h = self.controller(torch.cat((x, old["read"]))[None], old["h"][None])[0]
        usage = old["w_aggre"] / 400 if self.util_reg else torch.zeros(4)
        p = torch.cat((h, usage)) @ tensor(self.heads["W"]) + tensor(self.heads["b"])
        p = p.clip(-20, 20)
        w, aggregated = [], None
        for first in (0, 9):
            key = torch.tanh(p[first : first + 3])[None]
            beta = 2 * (torch.nn.functional.softplus(p[first + 3]) + 1)
            both = cosine_similarity(key, self.key_memory) + cosine_similarity(key, old["M"])
            weights = torch.softmax(beta * 0.5 * both, -1)[0]
            if self.util_reg and first == 9:
                weights = self.sharpen(weights, p[first + 5 : first + 9])
                aggregated = self.sharpen(weights, p[first + 5 : first + 9])
            w.append(weights)
        erase, add = torch.sigmoid(p[18:21]), torch.tanh(p[21:24])
        read = w[0] @ old["M"]
        top = int(top_slots(w[0][None], 1)[0])
        channel = self.miu(torch.cat((x, old["M"][top]))[None], old["S"][top][None])[0]
        channels = old["S"].clone()
        channels[top] = channel
        output = torch.cat((h, read)) @ tensor(self.out["W"]) + tensor(self.out["b"])
        state = {
            "h": h, "read": read,
            "M": erase_add(old["M"][None], w[1][None], erase[None], add[None])[0],
            "w_aggre": old["w_aggre"] + (w[1] if aggregated is None else aggregated),
            "sum_aggre": old["sum_aggre"] + w[1][:, None] * add,
            "S": channels, "add_sum": old["add_sum"] + add, "emb_sum": old["emb_sum"] + x,
        }  # fmt: skip
        return {
            "output": output.clip(-20, 20), "w_read": w[0], "w_write": w[1], "erase": erase,
            "add": add, "topk": top, "state": state,
        }  # fmt: skip


@vectors("05_mimn_step.json")
@pytest.mark.parametrize("util_reg", [0, 1])
def test_mimn_published_form(vector: dict[str, Any], util_reg: int) -> None:
    """Composed here from product primitives (``PublishedMimn``); the product has no such model."""
    model = PublishedMimn(vector, util_reg)
    expected = vector["output"]["code"][f"util_reg={util_reg}"]
    for x, step in zip(vector["input"]["events"], expected["steps"], strict=True):
        found = model.cell(tensor(x))
        for name in ("output", "w_read", "w_write", "erase", "add"):
            close(found[name], step[name])
        assert found["topk"] == step["topk"]
        for name, value in step["state"].items():
            close(found["state"][name], value)
        model.state = found["state"]
    candidate = model.cell(tensor(vector["input"]["candidate"]))
    close(candidate["output"], expected["candidate_read_out"])
    close(candidate["w_read"], expected["candidate_w_read"])
    close(model.state["sum_aggre"].mean(0), expected["mean_memory"])


@vectors("05_mimn_step.json")
def test_mimn_twin(vector: dict[str, Any]) -> None:
    """The twin's cell, cosine and rebalancing on the same numbers."""
    twin = importlib.import_module("reference.mimn")
    given, out = vector["input"]["paper"], vector["output"]
    slots = vector["input"]["M0"]
    close(twin.softmax([twin.cosine(given["k_read"], s) for s in slots]), out["paper"]["w_read"])
    close(twin.softmax([twin.cosine(given["k_write"], s) for s in slots]), out["paper"]["w_write"])
    matrix = out["paper_alternatives"]["row_stochastic_matrix"]
    # The twin divides g by max(1, sum g); scaling W_g by the sum undoes it.
    scale = sum(given["g"])
    scaled = (np.array(vector["weights"]["W_g3"]) * scale).tolist()
    close(twin.rebalance(out["paper"]["w_write"], given["g"], scaled), matrix["w"])
    w = vector["weights"]["miu_gru"]
    gates = np.concatenate((w["Wr"], w["Wu"]), 1).tolist()
    x = vector["input"]["events"][0]
    for i in out["paper"]["channels"]:
        found = twin.gru(
            x + out["paper"]["M"][i], given["S"][i], gates, w["br"] + w["bu"], w["Wc"], w["bc"]
        )
        close(found, out["paper"]["S"][i])


# --- 06 memory utilisation ------------------------------------------------------------------------


@vectors("06_memory_utilisation_loss.json")
def test_utilisation_loss(vector: dict[str, Any]) -> None:
    """Product code for eq 8; the published scaling is the same function at another rate."""
    out, rate = vector["output"], vector["weights"]["lam"]
    for row, expected in zip(vector["input"]["w_aggre"], out["per_user_paper"], strict=True):
        close(utilisation_loss(tensor([row]), rate), expected)
    for name, scale in (("paper_batch_mean", 1.0), ("code", 1 / (3 * 4**2))):
        g = tensor(vector["input"]["w_aggre"]).requires_grad_()
        loss = utilisation_loss(g, rate * scale)
        close(loss, out[name])
        loss.backward()
        close(g.grad, out["grad_paper_batch_mean" if scale == 1 else "grad_code"])


# --- 10 metrics -----------------------------------------------------------------------------------


@vectors("10_metrics.json")
def test_metrics(vector: dict[str, Any]) -> None:
    """Product code; the biased official AUC is not in the product."""
    users, scores, labels = (np.array(c) for c in zip(*vector["input"]["records"], strict=True))
    out = vector["output"]
    close(auc(labels, scores), out["auc_all"])
    close(group_auc(labels, scores, users), out["gauc_impression_weighted"])
    for user, expected in out["auc_per_user"].items():
        mine = users == user
        assert mine.sum() == out["n_per_user"][user]
        found = auc(labels[mine], scores[mine])
        close(found, np.nan if expected is None else expected)
    cases = vector["input"]["relaimpr_cases"]
    for (model, base), expected in zip(cases, out["relaimpr"], strict=True):
        close(relative_improvement(model, base), expected)
    assert auc(np.array([1, 0]), np.array([0.9, 0.1])) == 1.0
