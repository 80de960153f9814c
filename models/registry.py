"""Every model by name: the one line that a new model adds.

Classes are named as text and imported when asked for, because the worker needs updaters without
torch.
"""

import importlib
from dataclasses import dataclass
from typing import Any

from interest_center.core.errors import BundleError, ConfigurationError


@dataclass(frozen=True)
class MemoryModel:
    """A long-term memory: the module that trains it and the updater that serves it.

    Attributes:
        config: Class of its sizes, ``module:Class``.
        module: Torch module, ``module:Class``.
        updater: Numpy updater (``MemoryUpdater``), ``module:Class``.
    """

    config: str
    module: str
    updater: str


#: Readers of ids: the torch module of a short-term ranker.
READERS = {
    "din": "models.din:DinReader",
}

#: Keepers of memory.
MEMORIES = {
    "mimn": MemoryModel(
        config="models.mimn_state:MimnConfig",
        module="models.mimn:Mimn",
        updater="models.mimn_updater:MimnUpdater",
    ),
}


def model_names() -> list[str]:
    """Return what ``--model`` takes: every reader alone and with every memory."""
    return [
        *READERS,
        *(f"{reader}+{memory}" for reader in READERS for memory in MEMORIES),
    ]


def split_name(name: str) -> tuple[str, str | None]:
    """Return reader and memory of a model name.

    Raises:
        ConfigurationError: There is no such model.
    """
    if name not in model_names():
        raise ConfigurationError(
            f"unknown model {name!r}", hint="one of " + ", ".join(model_names())
        )
    reader, _, memory = name.partition("+")
    return reader, memory or None


def memory_model(name: str) -> MemoryModel:
    """Return the classes of a memory named in a manifest.

    Raises:
        BundleError: There is no such memory in this version.
    """
    if name not in MEMORIES:
        raise BundleError(f"memory model {name!r} is not known to this version")
    return MEMORIES[name]


def load_class(location: str) -> Any:
    """Import ``module:Class``."""
    module, _, attribute = location.partition(":")
    return getattr(importlib.import_module(module), attribute)
