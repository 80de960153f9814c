"""Every model by name: the one line that a new model adds.

Classes are named as text and imported when asked for, because the worker needs updaters without
torch.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Literal

from interest_center.core.errors import BundleError, ConfigurationError
from models.similar_names import one_of

_TRIGGER_ATTENTION = "tra"


@dataclass(frozen=True)
class ReaderModel:
    """A reader of ids: the torch module of a short-term ranker.

    Attributes:
        config: Class of its sizes and forms, ``module:Class``.
        module: Torch module, ``module:Class``.
        trigger: What it does with the item that the user came from: ``none``; ``optional``: it
            attends with it when its name says "+tra"; ``own``: it was made for it.
        recurrent: Whether it walks the behaviors from the first one on.
    """

    config: str
    module: str
    trigger: Literal["none", "optional", "own"] = "none"
    recurrent: bool = False


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


#: Readers of ids.
READERS = {
    "din": ReaderModel("models.din:DinConfig", "models.din:DinReader", "optional"),
    "dien": ReaderModel("models.dien:DienConfig", "models.dien:DienReader", "optional", True),
    "gru4rec": ReaderModel(
        "models.gru4rec:Gru4RecConfig", "models.gru4rec:Gru4RecReader", recurrent=True
    ),
    "dmin": ReaderModel("models.dmin:DminConfig", "models.dmin:DminReader", "optional"),
    "sim": ReaderModel("models.sim:SimConfig", "models.sim:SimReader"),
    "dihn": ReaderModel("models.dihn:DihnConfig", "models.dihn:DihnReader", "own"),
    "dian": ReaderModel("models.dian:DianConfig", "models.dian:DianReader", "own"),
    "dei2n": ReaderModel("models.dei2n:Dei2nConfig", "models.dei2n:Dei2nReader", "own"),
    "emb-mlp": ReaderModel("models.emb_mlp:EmbMlpConfig", "models.emb_mlp:EmbMlpReader"),
    "wide-deep": ReaderModel("models.wide_deep:WideDeepConfig", "models.wide_deep:WideDeepReader"),
    "pnn": ReaderModel("models.pnn:PnnConfig", "models.pnn:PnnReader"),
}

#: Keepers of memory.
MEMORIES = {
    "hpmn": MemoryModel(
        config="models.hpmn_state:HpmnConfig",
        module="models.hpmn:Hpmn",
        updater="models.hpmn_updater:HpmnUpdater",
    ),
    "mimn": MemoryModel(
        config="models.mimn_state:MimnConfig",
        module="models.mimn:Mimn",
        updater="models.mimn_updater:MimnUpdater",
    ),
}


@dataclass(frozen=True)
class NameParts:
    """What a model name says.

    Attributes:
        reader: The reader.
        reads_trigger: Whether the reader attends with the trigger.
        memory: The memory, None for none.
    """

    reader: str
    reads_trigger: bool
    memory: str | None


def model_names() -> list[str]:
    """Return what ``--model`` takes: every reader alone and with every memory."""
    readers = []
    for name, reader in READERS.items():
        readers.append(name)
        if reader.trigger == "optional":
            readers.append(f"{name}+{_TRIGGER_ATTENTION}")
    return [*readers, *(f"{reader}+{memory}" for reader in readers for memory in MEMORIES)]


def parse_name(name: str) -> NameParts:
    """Return the parts of a model name.

    Raises:
        ConfigurationError: There is no such model.
    """
    if name not in model_names():
        raise ConfigurationError(f"unknown model {name!r}", hint=one_of(name, model_names()))
    reader, *others = name.split("+")
    memory = others[-1] if others and others[-1] in MEMORIES else None
    attends = _TRIGGER_ATTENTION in others or READERS[reader].trigger == "own"
    return NameParts(reader, attends, memory)


def reader_model(name: str) -> ReaderModel:
    """Return the classes of a reader named in a manifest.

    Raises:
        BundleError: There is no such reader in this version.
    """
    if name not in READERS:
        raise BundleError(f"reader {name!r} is not known to this version")
    return READERS[name]


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
