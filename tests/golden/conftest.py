"""Fixtures of the numeric vectors."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture
def vector(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> dict[str, Any]:
    """Read the file that ``golden_vectors.vectors`` names."""
    directory = Path(pytestconfig.getoption("--vectors"))
    content: dict[str, Any] = json.loads((directory / request.param).read_text())
    return content


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    """Compare in float64, so that a tolerance of 1e-9 means something."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
