"""What a candidate reads, against plain float64 loops: DIN attention, also with a trigger."""

from typing import Any

import numpy as np
import pytest
import torch
from reference import din as din_twin
from seen import make_seen

from models.din import ActivationUnit, DinConfig, DinReader
from models.reading import Behaviors, ReaderInputs

SEED = 7


def unit_weights(unit: ActivationUnit) -> dict[str, Any]:
    """An activation unit's weights as the twin names them."""
    weights = {}
    layers = (unit.first, unit.second, unit.third)
    for k, layer in enumerate(layers, start=1):
        weights[f"W{k}"] = layer.weight.detach().double().numpy().T.tolist()
        weights[f"b{k}"] = layer.bias.detach().double().numpy().tolist()
    return weights


@pytest.mark.parametrize("with_trigger", [False, True])
def test_din_reader_equals_its_twin(with_trigger: bool) -> None:
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)
    inputs = ReaderInputs(dim=6, request_dim=0, n_types=3, trigger=with_trigger)
    reader = DinReader(DinConfig((8, 5), n_ages=4), inputs)
    for parameter in reader.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    lengths = [0, 1, 4, 3]
    came_from = np.array([True, True, True, False])
    candidates, keys = rng.normal(size=(4, 2, 6)), rng.normal(size=(4, 4, 6))
    triggers = rng.normal(size=(4, 6))
    types, ages = rng.integers(0, 4, (4, 4)), rng.integers(0, 4, (4, 4))
    same = rng.integers(0, 2, (4, 4, 2, 2))
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
        trigger=torch.tensor(triggers, dtype=torch.float32),
        has_trigger=torch.from_numpy(came_from),
    )
    with torch.no_grad():
        found = reader(seen).interest.numpy()
    weights = unit_weights(reader.unit)
    assert reader.type_bias is not None
    assert reader.age_bias is not None
    by_type = reader.type_bias.weight.detach().double().numpy()
    assert reader.same_bias is not None
    by_same = reader.same_bias.detach().double().numpy()
    by_age = reader.age_bias.weight.detach().double().numpy()
    for s, length in enumerate(lengths):
        for n in range(2):
            own, q = keys[s, :length].tolist(), candidates[s, n].tolist()
            placed = by_type[types[s]] + by_age[ages[s]]
            biases = (placed + same[s, :, n] @ by_same).tolist()
            expected = din_twin.attend(q, own, weights, biases)
            if reader.trigger_unit is not None:
                of_trigger = unit_weights(reader.trigger_unit)
                found_by = din_twin.attend(triggers[s].tolist(), own, of_trigger, placed.tolist())
                expected += [value * came_from[s] for value in found_by]
            expected += [a * q[k % len(q)] for k, a in enumerate(expected)]
            np.testing.assert_allclose(found[s, n], expected, atol=2e-5, rtol=0)
