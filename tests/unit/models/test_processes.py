"""One process alone: nothing to share, and devices that are not there are named."""

import numpy as np
import pytest
import torch

from interest_center.core.errors import ConfigurationError
from models.processes import (
    checked_device,
    in_parallel,
    join_processes,
    leads,
    make_alike,
    mean_of_rows,
    n_processes,
    own_share,
    told_by_leader,
)


def test_alone_everything_is_ones_own() -> None:
    assert join_processes("cpu") == "cpu"
    assert (n_processes(), leads()) == (1, True)
    assert told_by_leader(lambda: 7) == 7
    assert own_share(np.arange(5)).tolist() == [0, 1, 2, 3, 4]
    rows, gradient = torch.tensor([3, 1]), torch.ones(2, 4)
    assert mean_of_rows(rows, gradient) == (rows, gradient)
    tensor = torch.ones(3)
    make_alike([tensor])
    assert tensor.tolist() == [1.0] * 3
    module = torch.nn.Linear(2, 2)
    assert in_parallel(module, []) is module


@pytest.mark.parametrize("name", ["cuda:99", "gpu", ""])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"device {name} cannot be used") as refused:
        checked_device(name)
    assert "cpu is always there" in refused.value.hint
