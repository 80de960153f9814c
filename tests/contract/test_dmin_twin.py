"""DMIN against plain float64 loops, with and without trigger and history, and its own loss."""

from typing import Any

import numpy as np
import pytest
import torch
from reference import dmin as twin
from torch import Tensor
from trigger_requests import DIM, REQUEST_DIM, make_requests
from trigger_weights import as_lists, disturb, layers, self_attention, unit

from models.dmin import DminConfig, DminReader, InterestHead
from models.reading import ReaderInputs

SEED = 20251126
CONFIG = DminConfig(refiner_heads=2, interest_heads=4, attention_hidden=(6, 4))


def make_reader(trigger: bool) -> DminReader:
    torch.manual_seed(SEED)
    reader = DminReader(CONFIG, ReaderInputs(DIM, REQUEST_DIM, n_types=0, trigger=trigger))
    disturb(reader)
    return reader


def of_head(head: InterestHead) -> dict[str, Any]:
    own: dict[str, Any] = as_lists(
        {
            "WO": head.out.weight.T,
            "ln_g": head.norm.weight, "ln_b": head.norm.bias,
            "positions": head.positions.weight,
        } | layers(head.feed_forward.layers)
    )  # fmt: skip
    own["unit"] = as_lists(unit(head.unit))
    if head.trigger_unit is not None:
        own["trigger"] = as_lists(unit(head.trigger_unit))
    return own


def weights_of(reader: DminReader) -> dict[str, Any]:
    names = ("WQ", "WK", "WV")
    extractor: dict[str, Tensor] = dict(zip(names, reader.qkv.weight.T.chunk(3, 1), strict=True))
    refiner = self_attention(reader.refiner) | layers(reader.feed_forward.layers)
    heads = []
    for head in reader.heads:
        assert isinstance(head, InterestHead)
        heads.append(of_head(head))
    query = {"ln_g": reader.query_norm.weight, "ln_b": reader.query_norm.bias}
    parts = {"refiner": refiner, "extractor": extractor, "query": query}
    return {name: as_lists(part) for name, part in parts.items()} | {"heads": heads}


@pytest.mark.parametrize("trigger", [False, True])
def test_dmin_equals_its_twin(trigger: bool) -> None:
    reader = make_reader(trigger)
    weights = weights_of(reader)
    requests = make_requests(SEED)
    with torch.no_grad():
        found = reader(requests.seen)
    assert found.loss is None
    assert found.interest.shape[-1] == reader.interest_dim
    for i, request in enumerate(requests.plain):
        about = (request["soft"], request["trigger"])
        for n, candidate in enumerate(requests.candidates[i].tolist()):
            expected = twin.interest(about[0], candidate, about[1], weights, 2, 4)
            np.testing.assert_allclose(found.interest[i, n], expected, atol=5e-5, rtol=0)


def test_the_auxiliary_loss_equals_its_twin() -> None:
    reader = make_reader(False)
    # Small weights: the logits of the loss stay where its twin's logarithms are exact.
    disturb(reader, 0.2)
    requests = make_requests(SEED)
    keys = requests.seen.behaviors.keys
    others = torch.from_numpy(
        np.random.default_rng(SEED).normal(size=tuple(keys.shape)).astype(np.float32)
    )
    found = reader(requests.seen._replace(negatives=others)).loss
    histories = [request["soft"] for request in requests.plain]
    loss = twin.auxiliary_loss(histories, others.tolist(), weights_of(reader), 2)
    assert found is not None
    assert found.item() == pytest.approx(CONFIG.auxiliary_weight * loss, abs=1e-5)
