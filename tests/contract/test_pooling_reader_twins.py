"""Readers that pool, against plain float64 loops: Embedding & MLP, Wide & Deep, PNN."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from reference import emb_mlp as emb_mlp_twin
from reference import pnn as pnn_twin
from reference import wide_deep as wide_deep_twin
from trigger_requests import DIM, N_CANDIDATES, REQUEST_DIM, make_requests
from trigger_weights import disturb

from interest_center.core.errors import ConfigurationError
from models.emb_mlp import EmbMlpConfig, EmbMlpReader, Pooling
from models.pnn import PnnConfig, PnnReader
from models.reading import ReaderInputs, Seen
from models.wide_deep import WideDeepConfig, WideDeepReader

SEED = 20251125
INPUTS = ReaderInputs(DIM, REQUEST_DIM, n_types=0, item_dim=DIM // 2)
POOLINGS = pytest.mark.parametrize("pooling", ["sum", "mean"])
CLOSE = {"atol": 2e-5, "rtol": 0}


def pool_of(request: dict[str, Any], pooling: Pooling) -> list[float]:
    return emb_mlp_twin.pool(request["soft"], DIM, pooling == "mean")


@POOLINGS
def test_emb_mlp_equals_its_twin(pooling: Pooling) -> None:
    reader = EmbMlpReader(EmbMlpConfig(pooling), INPUTS)
    requests = make_requests(SEED)
    found = reader(requests.seen).interest
    assert found.shape[-1] == reader.interest_dim
    for i, request in enumerate(requests.plain):
        for n in range(N_CANDIDATES):
            np.testing.assert_allclose(found[i, n], pool_of(request, pooling), **CLOSE)


def compared(seen: Seen, rng: np.random.Generator) -> tuple[Seen, NDArray[np.int64], list[Any]]:
    """Return the requests with ids, what each candidate is, and what each behavior is; 0: unknown.

    What stands behind the mask is the same as every candidate, so that reading it shows.
    """
    s, t = seen.behaviors.mask.shape
    own, theirs = rng.integers(0, 5, (s, N_CANDIDATES, 2)), rng.integers(0, 5, (s, t, 2))
    same = (theirs[:, :, None] == own[:, None]) & (theirs != 0)[:, :, None]
    real = seen.behaviors.mask.numpy()
    same |= ~real[:, :, None, None]
    done = [[tuple(int(v) or None for v in ids) for ids in theirs[i][real[i]]] for i in range(s)]
    return seen._replace(same=torch.tensor(same, dtype=torch.float32)), own, done


@pytest.mark.parametrize("crossings", [True, False])
@POOLINGS
def test_wide_deep_equals_its_twin(pooling: Pooling, crossings: bool) -> None:
    torch.manual_seed(SEED)
    reader = WideDeepReader(WideDeepConfig(pooling, crossings), INPUTS)
    disturb(reader)
    requests = make_requests(SEED)
    seen, own, done = compared(requests.seen, np.random.default_rng(SEED))
    with torch.no_grad():
        found = reader(seen)
    assert found.logits is not None
    assert found.interest.shape[-1] == reader.interest_dim
    weights = reader.wide.weight.squeeze(0).double().tolist()
    crossed_somewhere = set()
    for i, request in enumerate(requests.plain):
        pool = pool_of(request, pooling)
        for n, candidate in enumerate(requests.candidates[i].tolist()):
            crossed = wide_deep_twin.transformations(own[i, n].tolist(), done[i])
            crossed_somewhere |= set(enumerate(crossed))
            if not crossings:
                crossed = []
            expected = wide_deep_twin.wide(request["about"], candidate, pool, crossed, weights)
            np.testing.assert_allclose(found.logits[i, n], expected, **CLOSE)
            np.testing.assert_allclose(found.interest[i, n], pool, **CLOSE)
    assert len(crossed_somewhere) == 4  # each of the two kinds, met and not met


@POOLINGS
def test_a_linear_layer_over_what_pnn_reads_is_the_product_layer(pooling: Pooling) -> None:
    rng = np.random.default_rng(SEED)
    reader = PnnReader(PnnConfig(pooling), INPUTS)
    requests = make_requests(SEED)
    found = reader(requests.seen).interest.double().numpy()
    assert found.shape[-1] == reader.interest_dim
    n_units, n_fields, half = 3, 4, DIM // 2
    # Fields: item and category of the candidate, item and category of the behaviors.
    linear = rng.normal(size=(n_units, n_fields, half))
    quadratic = rng.normal(size=(n_units, n_fields, n_fields))
    bias = rng.normal(size=n_units)
    pairs = [(2, 2), (2, 3), (3, 3), (0, 0), (0, 1), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3)]
    of_pairs = np.stack(
        [quadratic[:, i, j] + (quadratic[:, j, i] if i != j else 0) for i, j in pairs], -1
    )
    for i, request in enumerate(requests.plain):
        pool = pool_of(request, pooling)
        for n, candidate in enumerate(requests.candidates[i].tolist()):
            fields = [candidate[:half], candidate[half:], pool[:half], pool[half:]]
            expected = pnn_twin.product_layer(
                fields, linear.tolist(), quadratic.tolist(), bias.tolist()
            )
            reads = found[i, n]
            layer = linear[:, :2].reshape(n_units, DIM) @ candidate
            layer += linear[:, 2:].reshape(n_units, DIM) @ reads[:DIM] + of_pairs @ reads[DIM:]
            np.testing.assert_allclose(layer + bias, expected, atol=2e-4, rtol=0)


def test_pnn_tells_that_fields_must_be_equally_wide() -> None:
    with pytest.raises(ConfigurationError, match="widths of 2 and 6") as caught:
        PnnReader(PnnConfig(), replace(INPUTS, item_dim=2))
    assert caught.value.hint == "set category_dim=2"
