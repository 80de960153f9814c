"""What a candidate reads, against plain float64 loops: DIN attention."""

from typing import Any

import numpy as np
import torch
from reference import din as din_twin
from seen import make_seen

from models.din import DinConfig, DinReader
from models.reading import Behaviors, ReaderInputs

SEED = 7


def unit_weights(reader: DinReader) -> dict[str, Any]:
    """The activation unit's weights as the twin names them."""
    weights = {}
    layers = (reader.unit.first, reader.unit.second, reader.unit.third)
    for k, layer in enumerate(layers, start=1):
        weights[f"W{k}"] = layer.weight.detach().double().numpy().T.tolist()
        weights[f"b{k}"] = layer.bias.detach().double().numpy().tolist()
    return weights


def test_din_reader_equals_its_twin() -> None:
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    reader = DinReader(DinConfig((8, 5), n_ages=4), ReaderInputs(dim=6, request_dim=0, n_types=3))
    for parameter in reader.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    lengths = [0, 1, 4]
    candidates, keys = rng.normal(size=(3, 2, 6)), rng.normal(size=(3, 4, 6))
    types, ages = rng.integers(0, 4, (3, 4)), rng.integers(0, 4, (3, 4))
    same = rng.integers(0, 2, (3, 4, 2, 2))
    mask = np.arange(4)[None, :] < np.array(lengths)[:, None]
    behaviors = Behaviors(
        torch.tensor(keys, dtype=torch.float32),
        torch.from_numpy(mask),
        torch.from_numpy(types),
        torch.from_numpy((2**ages - 1) * 1000),
    )
    seen = make_seen(
        torch.tensor(candidates, dtype=torch.float32),
        behaviors,
        same=torch.tensor(same, dtype=torch.float32),
    )
    with torch.no_grad():
        found = reader(seen).interest.numpy()
    weights = unit_weights(reader)
    assert reader.type_bias is not None
    assert reader.age_bias is not None
    by_type = reader.type_bias.weight.detach().double().numpy()
    assert reader.same_bias is not None
    by_same = reader.same_bias.detach().double().numpy()
    by_age = reader.age_bias.weight.detach().double().numpy()
    for s, length in enumerate(lengths):
        for n in range(2):
            biases = (by_type[types[s]] + by_age[ages[s]] + same[s, :, n] @ by_same).tolist()
            q = candidates[s, n].tolist()
            attended = din_twin.attend(q, keys[s, :length].tolist(), weights, biases)
            expected = [*attended, *(a * b for a, b in zip(attended, q, strict=True))]
            np.testing.assert_allclose(found[s, n], expected, atol=2e-5, rtol=0)
