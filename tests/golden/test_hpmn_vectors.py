"""The numbers of HPMN against product code, and against the twin."""

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from golden_vectors import close, fill, tensor, vectors

from models.hpmn import Hpmn, HpmnState, covariance_penalty
from models.hpmn_state import HpmnConfig

# --- 07 HPMN --------------------------------------------------------------------------------------


def model_of(weights: dict[str, Any]) -> Hpmn:
    query = weights["query"]
    hidden = (len(query["hops"][0]["b1"]), len(query["hops"][0]["b2"]))
    config = HpmnConfig(
        item_dim=2, category_dim=1, periods=tuple(weights["periods"]), slot_dim=2,
        n_hops=len(query["hops"]), hop_hidden=hidden,
    )  # fmt: skip
    model = Hpmn(config)
    for cell, layer in zip(model.cells, weights["layers"], strict=True):
        fill(cell, layer)
    with torch.no_grad():
        model.query.weight.copy_(tensor(query["Wq"]).T)
        model.query.bias.copy_(tensor(query["bq"]))
        model.hop_map.copy_(tensor(query["Hmap"]))
        for unit, hop in zip(model.hops, query["hops"], strict=True):
            for layer, k in ((unit.first, 1), (unit.second, 2), (unit.third, 3)):
                layer.weight.copy_(tensor(hop[f"W{k}"]).T)
                layer.bias.copy_(tensor(hop[f"b{k}"]))
    return model


def walk(model: Hpmn, events: list[list[float]], state: HpmnState | None = None) -> HpmnState:
    state = model.initial_state(1) if state is None else state
    for x in events:
        state = model.step(state, tensor([x]))
    return state


@vectors("07_hpmn_update.json")
def test_hpmn_updates(vector: dict[str, Any]) -> None:
    """Product code, event by event: which slots move, and their values."""
    model, events = model_of(vector["weights"]), vector["input"]["events"]
    state = model.initial_state(1)
    for x, expected in zip(events, vector["output"]["trace"], strict=True):
        before, state = state, walk(model, [x], state)
        moved = (before.slots != state.slots).any(-1)[0]
        assert torch.nonzero(moved)[:, 0].tolist() == expected["updated_slots"]
        close(state.slots[0], expected["memory"])
        assert int(state.n_events) == expected["i"]
    close(state.slots[0], vector["output"]["memory_after_8"])


@vectors("07_hpmn_update.json")
def test_hpmn_resumes_from_slots_and_counter(vector: dict[str, Any]) -> None:
    """Product code: 5 events, stored and read back as float64 columns, then 3 more."""
    model, events = model_of(vector["weights"]), vector["input"]["events"]
    stored = walk(model, events[:5])
    row = torch.cat((stored.slots.flatten(1), stored.phase[:, None], stored.n_events[:, None]), 1)
    resumed = walk(model, events[5:], model.state_of(row))
    close(resumed.slots[0], vector["output"]["memory_after_8"])


@vectors("07_hpmn_update.json")
def test_hpmn_begins_with_the_first_event(vector: dict[str, Any]) -> None:
    """Product code is start-aligned; zero rows in front are what it does not do."""
    model, events = model_of(vector["weights"]), vector["input"]["events"][:6]
    out = vector["output"]
    close(walk(model, events).slots[0], out["start_aligned_6"])
    zeros = [[0.0] * len(events[0])] * 2
    close(walk(model, zeros + events).slots[0], out["front_padded_6"])


@vectors("07_hpmn_update.json")
def test_hpmn_read(vector: dict[str, Any]) -> None:
    """Product code; the candidate joins the last query in the composition, not in the memory."""
    model, out = model_of(vector["weights"]), vector["output"]
    state = walk(model, vector["input"]["events"])
    target = tensor([[vector["input"]["target"]]])
    found = model.read(state, target)
    close(found[0, 0], out["query_final"])
    close(torch.cat((found, target), -1)[0, 0], out["representation"])
    assert model.interest(state, target).shape[-1] == model.interest_dim
    live = torch.ones(1, 3, dtype=torch.bool)
    query = model.query(target)
    for unit, expected in zip(model.hops, out["hop_weights"], strict=True):
        weights = unit.weights(query, state.slots, live)
        close(weights[0, :, 0], expected)
        query = query @ model.hop_map + weights.transpose(1, 2) @ state.slots


@vectors("07_hpmn_update.json")
def test_hpmn_twin(vector: dict[str, Any]) -> None:
    """The twin, so that both sides of the contract checks stand on the numbers."""
    twin = importlib.import_module("reference.hpmn")
    given, out = vector["weights"], vector["output"]
    weights: dict[str, Any] = {"periods": given["periods"]}
    for j, layer in enumerate(given["layers"]):
        weights[f"slot_{j}_gates"] = np.concatenate((layer["Wr"], layer["Wu"]), 1).tolist()
        weights[f"slot_{j}_gates_bias"] = layer["br"] + layer["bu"]
        weights[f"slot_{j}_candidate"] = layer["Wc"]
        weights[f"slot_{j}_candidate_bias"] = layer["bc"]
    query = given["query"]
    weights["query.weight"], weights["query.bias"] = twin.transposed(query["Wq"]), query["bq"]
    weights["hop_map"] = query["Hmap"]
    for h, hop in enumerate(query["hops"]):
        for name, k in (("first", 1), ("second", 2), ("third", 3)):
            weights[f"hops.{h}.{name}.weight"] = twin.transposed(hop[f"W{k}"])
            weights[f"hops.{h}.{name}.bias"] = hop[f"b{k}"]
    state = twin.initial_state(weights)
    for x, expected in zip(vector["input"]["events"], out["trace"], strict=True):
        state = twin.step(state, x, weights)
        close(state.slots, expected["memory"])
    close(twin.candidate_read(state, vector["input"]["target"], weights), out["query_final"])


# --- 08 covariance regulariser --------------------------------------------------------------------


@vectors("08_covariance_regulariser.json")
@pytest.mark.parametrize(
    ("form", "name"), [("norm", "code"), ("half_squared", "half_squared_batch_mean")]
)
def test_covariance_penalty(vector: dict[str, Any], form: Any, name: str) -> None:
    """Product code by user; it trains with the mean over users, published code with the sum."""
    out = vector["output"]
    slots = tensor(vector["input"]["M"]).requires_grad_()
    by_user = covariance_penalty(slots, form)
    norms = np.array(out["frob_off_per_user"])
    close(by_user, norms if form == "norm" else norms**2 / 2)
    loss = by_user.sum() if form == "norm" else by_user.mean()
    close(loss, out[f"loss_{name}"])
    loss.backward()
    close(slots.grad, out[f"grad_{name}"])
    config = HpmnConfig(periods=(1, 2, 4), slot_dim=4, covariance=form)
    state = HpmnState(slots, torch.zeros(2), torch.zeros(2))
    close(Hpmn(config).regulariser(state, 0.5), 0.5 * by_user.mean().detach())


@vectors("08_covariance_regulariser.json")
def test_covariance_twin(vector: dict[str, Any]) -> None:
    """The twin, and the whole matrix by it."""
    twin = importlib.import_module("reference.hpmn")
    out = vector["output"]
    for slots, matrix, norm in zip(
        vector["input"]["M"], out["C"], out["frob_off_per_user"], strict=True
    ):
        expected = np.array(matrix) - np.diag(np.diag(matrix))
        close(twin.off_diagonal(slots), expected)
        close(twin.covariance_norm(slots), norm)
