"""Weights of the gated layers of DIEN under the names of twins and vectors, as views."""

import torch
from torch import Tensor

from models.dien import BilinearAttention
from models.din import ActivationUnit
from models.layers import GruCell
from models.recurrent import GatedLayer


def gated(layer: GatedLayer | GruCell) -> dict[str, Tensor]:
    """Return Wu, Uu, bu of the update gate, r of the reset gate, h of the candidate.

    An AGRU has no update gate; ``GruCell`` has the same parts in another order.
    """
    if isinstance(layer, GruCell):
        width = layer.candidate.shape[1]
        inputs = len(layer.candidate) - width
        of_input, of_hidden = layer.gates[:inputs], layer.gates[inputs:]
        return {
            "Wr": of_input[:, :width], "Ur": of_hidden[:, :width], "br": layer.gates_bias[:width],
            "Wu": of_input[:, width:], "Uu": of_hidden[:, width:], "bu": layer.gates_bias[width:],
            "Wh": layer.candidate[:inputs], "Uh": layer.candidate[inputs:],
            "bh": layer.candidate_bias,
        }  # fmt: skip
    width = len(layer.of_hidden)
    found = {
        "Wh": layer.of_input[:, :width], "bh": layer.bias[:width],
        "Uh": layer.of_hidden[:, -width:],
        "Wr": layer.of_input[:, width : 2 * width], "br": layer.bias[width : 2 * width],
        "Ur": layer.of_hidden[:, :width],
    }  # fmt: skip
    if len(layer.bias) > 2 * width:
        update = slice(2 * width, None)
        found |= {"Wu": layer.of_input[:, update], "bu": layer.bias[update]}
        found["Uu"] = layer.of_hidden[:, width : 2 * width]
    return found


def attention(unit: BilinearAttention | ActivationUnit) -> dict[str, Tensor]:
    """Return W of the bilinear form, or W1, b1, ... of the network."""
    if isinstance(unit, BilinearAttention):
        return {"W": unit.matrix}
    found = {}
    for k, layer in enumerate((unit.first, unit.second, unit.third), start=1):
        found |= {f"W{k}": layer.weight.T, f"b{k}": layer.bias}
    return found


def fill_gated(layer: GatedLayer | GruCell, weights: dict[str, list[list[float]]]) -> None:
    """Load a layer from the vector's separate gates."""
    with torch.no_grad():
        for name, values in gated(layer).items():
            values.copy_(torch.tensor(weights[name], dtype=torch.float64))
