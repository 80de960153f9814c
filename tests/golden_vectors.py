"""What the tests of the numeric vectors share: files by name, tolerance, cells of given weights."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from models.layers import GruCell

TOLERANCE = {"atol": 1e-9, "rtol": 0}


def vectors(name: str) -> Any:
    """Give the content of one file to the test."""
    return pytest.mark.parametrize("vector", [name], indirect=True, ids=[name[:2]])


def tensor(values: Any) -> Tensor:
    """Return a float64 tensor."""
    return torch.tensor(values, dtype=torch.float64)


def close(found: Any, expected: Any, **tolerance: float) -> None:
    """Compare arrays or tensors."""
    found = found.detach().numpy() if isinstance(found, Tensor) else np.asarray(found)
    np.testing.assert_allclose(found, np.asarray(expected), **(tolerance or TOLERANCE))


def fill(cell: GruCell, weights: dict[str, Any]) -> None:
    """Load a cell from the vector's separate gates."""
    with torch.no_grad():
        cell.gates.copy_(torch.cat((tensor(weights["Wr"]), tensor(weights["Wu"])), 1))
        cell.gates_bias.copy_(torch.cat((tensor(weights["br"]), tensor(weights["bu"]))))
        cell.candidate.copy_(tensor(weights["Wc"]))
        cell.candidate_bias.copy_(tensor(weights["bc"]))
