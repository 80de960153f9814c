"""The processes of one training, started by ``torchrun``; every function works alone as well.

Each process holds the whole data and a model of its own. They stay alike because all apply the same
gradients, and because one of them, the leader, decides for all and is the only one that writes.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch import distributed as dist

from interest_center.core.errors import ConfigurationError
from models.samples import Ints

T = TypeVar("T")

#: The others wait while the leader evaluates; a process that ends is noticed by torchrun at once.
_LONGEST_WAIT = timedelta(days=1)


def checked_device(name: str) -> str:
    """Return a device that is there.

    Raises:
        ConfigurationError: It is not.
    """
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigurationError(
            f"device {name} cannot be used: {str(error).splitlines()[0]}",
            hint="cpu is always there; cuda needs an NVIDIA GPU and a torch built for it",
        ) from error
    return name


def join_processes(device: str) -> str:
    """Join the other processes of a ``torchrun``, if there is one; return this one's device.

    Raises:
        ConfigurationError: The device is not there.
    """
    if not dist.is_torchelastic_launched():
        return checked_device(device)
    own = f"cuda:{dist.get_node_local_rank()}" if device == "cuda" else device
    checked_device(own)
    if own.startswith("cuda"):
        torch.cuda.set_device(own)
    dist.init_process_group("nccl" if own.startswith("cuda") else "gloo", timeout=_LONGEST_WAIT)
    return own


def leave_processes() -> None:
    """Part from the other processes."""
    if dist.is_initialized():
        dist.destroy_process_group()


def n_processes() -> int:
    """Return how many train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def own_rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def leads() -> bool:
    """Tell whether this process decides, tells and writes."""
    return own_rank() == 0


def told_by_leader(find: Callable[[], T]) -> T:
    """Return what the leader finds; the others do not look."""
    found = [find() if leads() else None]
    if dist.is_initialized():
        dist.broadcast_object_list(found)
    return found[0]  # type: ignore[return-value]


def own_share(batch: Ints) -> Ints:
    """Return this process's part of a batch: neighbours, because they may share a walk."""
    return np.array_split(batch, n_processes())[own_rank()]


def make_alike(tensors: Iterable[Tensor]) -> None:
    """Replace tensors by their mean over the processes, in place."""
    if dist.is_initialized():
        for tensor in tensors:
            dist.all_reduce(tensor)
            tensor /= dist.get_world_size()


def mean_of_rows(rows: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows that any process has, and the mean of their gradients over the processes.

    The sums are made in the order of the processes, so that all get the same to the last bit.

    Args:
        rows: Distinct rows, ``[n]``.
        gradient: Of each, ``[n, dim]``.
    """
    if not dist.is_initialized():
        return rows, gradient
    world = dist.get_world_size()
    n = torch.tensor([len(rows)], device=rows.device)
    sizes = [torch.zeros_like(n) for _ in range(world)]
    dist.all_gather(sizes, n)
    longest = max(int(size) for size in sizes)
    all_rows = [rows.new_zeros(longest) for _ in range(world)]
    gradients = [gradient.new_zeros(longest, gradient.shape[1]) for _ in range(world)]
    short = longest - len(rows)
    dist.all_gather(all_rows, nn.functional.pad(rows, (0, short)))
    dist.all_gather(gradients, nn.functional.pad(gradient, (0, 0, 0, short)))
    parts = [part[: int(size)] for part, size in zip(all_rows, sizes, strict=True)]
    distinct, place = torch.unique(torch.cat(parts), return_inverse=True)
    total = gradient.new_zeros(len(distinct), gradient.shape[1])
    for part, own in zip(torch.split(place, [len(p) for p in parts]), gradients, strict=True):
        total[part] += own[: len(part)]
    return distinct, total / world


def in_parallel(module: nn.Module, left_out: Iterable[str]) -> nn.Module:
    """Return a module whose gradients are the mean over the processes; itself when alone.

    Args:
        module: To be trained.
        left_out: Names of its tensors that are kept alike by other means.
    """
    if not dist.is_initialized():
        return module
    parallel = nn.parallel.DistributedDataParallel
    # Each measures its own batches; what they measured is made alike when it is needed.
    measured = [name for name, _ in module.named_buffers()]
    alone = [*left_out, *measured]
    parallel._set_params_and_buffers_to_ignore_for_model(module, alone)  # type: ignore[no-untyped-call]
    return parallel(module, find_unused_parameters=True)
