"""DIEN and GRU4Rec against plain float64 loops: every form, with and without a trigger."""

from typing import Any

import numpy as np
import pytest
import torch
from dien_weights import attention, gated
from reference import dien as dien_twin
from reference import gru4rec as gru4rec_twin
from trigger_requests import DIM, make_requests
from trigger_weights import as_lists, disturb

from models.dien import DienConfig, DienReader, Form
from models.gru4rec import Gru4RecConfig, Gru4RecReader
from models.reading import ReaderInputs

SEED = 20190127
CLOSE = {"atol": 2e-5, "rtol": 0}
#: Of five behaviors: the extractor walks all, the rest of the model sees these.
LENGTH = 3
FORMS: list[Form] = ["augru", "aigru", "agru", "augru_published"]


def make_reader(trigger: bool = False, **values: Any) -> DienReader:
    torch.manual_seed(SEED)
    inputs = ReaderInputs(DIM, 0, n_types=0, history_length=LENGTH, trigger=trigger)
    reader = DienReader(DienConfig(attention_hidden=(6, 4), **values), inputs)
    disturb(reader)
    return reader


def weights_of(reader: DienReader) -> dict[str, Any]:
    """Return all weights as the twin takes them."""
    found = {
        "extractor": gated(reader.extractor),
        "attention": attention(reader.unit),
        "evolving": gated(reader.evolving.layer),
    }
    if reader.trigger_unit is not None:
        assert reader.trigger_evolving is not None
        found["trigger_attention"] = attention(reader.trigger_unit)
        found["trigger_evolving"] = gated(reader.trigger_evolving.layer)
    return {part: as_lists(weights) for part, weights in found.items()}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("unit", ["bilinear", "unit"])
@pytest.mark.parametrize("trigger", [False, True])
def test_dien_equals_its_twin(form: Form, unit: Any, trigger: bool) -> None:
    requests = make_requests(SEED)
    reader = make_reader(trigger, form=form, attention=unit)
    found = reader(requests.seen)
    assert found.loss is None
    assert found.interest.shape[-1] == reader.interest_dim
    w = weights_of(reader)
    attended = reader.attention(requests.seen).detach().numpy()
    for i, request in enumerate(requests.plain):
        seen = len(request["soft"])
        states = dien_twin.states_of(request["soft"], w["extractor"])[-LENGTH:]
        for n, candidate in enumerate(requests.candidates[i].tolist()):
            expected = dien_twin.interest(request, candidate, w, form, LENGTH)
            np.testing.assert_allclose(found.interest[i, n].detach(), expected, **CLOSE)
            shares = np.zeros(attended.shape[1])
            shares[seen - len(states) : seen] = dien_twin.attention(
                candidate, states, w["attention"]
            )
            np.testing.assert_allclose(attended[i, :, n], shares, **CLOSE)


@pytest.mark.parametrize("trigger", [False, True])
def test_without_sums_the_rest_is_the_same(trigger: bool) -> None:
    seen = make_requests(SEED).seen
    with_sums, without = (make_reader(trigger, sums=sums) for sums in (True, False))
    found = without(seen).interest
    assert found.shape[-1] == without.interest_dim
    np.testing.assert_array_equal(
        found.detach(), with_sums(seen).interest[..., : without.interest_dim].detach()
    )


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_auxiliary_loss_equals_its_twin(weight: float) -> None:
    """Over all behaviors, those too that the attention does not reach."""
    requests = make_requests(SEED)
    reader = make_reader(auxiliary_weight=weight)
    others = np.random.default_rng(SEED).normal(size=requests.seen.behaviors.keys.shape)
    negatives = torch.tensor(others, dtype=torch.float32)
    loss = reader(requests.seen._replace(negatives=negatives)).loss
    w = weights_of(reader)["extractor"]
    histories = [
        (dien_twin.states_of(request["soft"], w), request["soft"], others[i].tolist())
        for i, request in enumerate(requests.plain)
    ]
    cut = [(states, rows, beside[: len(rows)]) for states, rows, beside in histories]
    assert loss is not None
    assert loss.item() == pytest.approx(weight * dien_twin.mean_loss(cut), abs=2e-5)


def test_gru4rec_equals_its_twin() -> None:
    torch.manual_seed(SEED)
    requests = make_requests(SEED)
    inputs = ReaderInputs(DIM, 0, n_types=0, history_length=LENGTH)
    reader = Gru4RecReader(Gru4RecConfig(hidden_dim=6), inputs)
    disturb(reader)
    found = reader(requests.seen).interest.detach().numpy()
    assert found.shape[-1] == reader.interest_dim
    w = as_lists(gated(reader.layer))
    for i, request in enumerate(requests.plain):
        expected = gru4rec_twin.interest(request["soft"], w, DIM, LENGTH)
        np.testing.assert_allclose(found[i], [expected] * found.shape[1], **CLOSE)
