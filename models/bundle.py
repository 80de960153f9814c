"""A trained model on disk: ``manifest.json`` and one safetensors file; no pickles.

The manifest names its weights file, whose name holds the fingerprint, and is replaced last: a
reader sees the old bundle or the new one, never a mixture. ``load_updater`` needs no torch.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as encode_tensors

from interest_center.core.errors import BundleError
from interest_center.core.layout import StateConfig
from interest_center.core.protocols import MemoryUpdater
from models.bundle_files import (
    FORMAT,
    MANIFEST,
    Manifest,
    WeightsFile,
    read_files,
    read_manifest,
    write_atomically,
    writing,
)
from models.ctr_config import CtrConfig, default_config
from models.fingerprint import fingerprint_of
from models.registry import load_class, memory_model
from models.vocabulary import Vocabulary

if TYPE_CHECKING:
    from models.ranker import Ranker

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle.

    Attributes:
        name: Model name.
        fingerprint: 16 hex digits over everything that moves a score.
        memory_fingerprint: Of the updater whose memories the ranker reads, 0 without a memory.
        manifest: The manifest as plain values.
        state: The state rules of the training histories.
        vocabulary: Known ids and the category of each item.
        ranker: Scores requests.
        updater: Keeps memories, None without a memory.
    """

    name: str
    fingerprint: str
    memory_fingerprint: int
    manifest: dict[str, Any]
    state: StateConfig
    vocabulary: Vocabulary
    ranker: "Ranker"
    updater: MemoryUpdater | None


def vocabulary_of(tensors: Arrays) -> Vocabulary:
    """Take the vocabulary out of a bundle's tensors.

    Raises:
        BundleError: It is not there, or does not fit together.
    """
    try:
        return Vocabulary.from_tensors(tensors)
    except KeyError as error:
        raise BundleError(f"bundle lacks tensor {error.args[0]}") from error
    except ValueError as error:
        raise BundleError(f"vocabulary of the bundle: {error}") from error


def _updater_of(
    config: dict[str, Any], vocabulary: Vocabulary, tensors: Arrays
) -> MemoryUpdater | None:
    name = config.get("memory")
    if name is None:
        return None
    model = memory_model(name)
    try:
        sizes = load_class(model.config).from_dict(config["memory_config"])
    except (KeyError, TypeError) as error:
        raise BundleError(f"wrong memory configuration in the manifest: {error}") from error
    updater: MemoryUpdater = load_class(model.updater)(sizes, vocabulary, tensors)
    return updater


def _fingerprint(config: dict[str, Any], state: StateConfig, tensors: Arrays) -> str:
    """Return the fingerprint of a bundle: over everything that moves a score."""
    identity = {"config": config, "state": msgspec.to_builtins(state)}
    return f"{fingerprint_of(identity, tensors):016x}"


def _memory_fingerprint(updater: MemoryUpdater | None) -> str:
    return "" if updater is None else f"{updater.fingerprint:016x}"


@dataclass(frozen=True)
class _Parts:
    """What is read of a bundle without torch, after comparing it with its fingerprints."""

    manifest: Manifest
    tensors: Arrays
    vocabulary: Vocabulary
    updater: MemoryUpdater | None


def _read(directory: Path) -> _Parts:
    manifest, tensors = read_files(directory)
    vocabulary = vocabulary_of(tensors)
    updater = _updater_of(manifest.config, vocabulary, tensors)
    found = (
        _fingerprint(manifest.config, manifest.state, tensors),
        _memory_fingerprint(updater),
    )
    said = (manifest.fingerprint, manifest.memory_fingerprint)
    for part, one, other in zip(("", "memory "), found, said, strict=True):
        if one != other:
            raise BundleError(
                f"{part}fingerprint of {directory} is {one or 'none'}, "
                f"its manifest says {other or 'none'}",
                hint="the manifest was changed by hand: copy the bundle again or train it again",
            )
    return _Parts(manifest, tensors, vocabulary, updater)


def load_updater(directory: Path) -> MemoryUpdater | None:
    """Load what the worker needs of a bundle, without torch.

    Returns:
        The memory updater, None when the bundle has no memory.

    Raises:
        BundleError: The bundle is missing or damaged.
    """
    return _read(directory).updater


def load_vocabulary(directory: Path) -> Vocabulary:
    """Load the ids that the tables know, without torch.

    Raises:
        BundleError: The bundle is missing or damaged.
    """
    return _read(directory).vocabulary


def load_state_rules(directory: Path) -> StateConfig:
    """Return the state rules of the training histories; reads the manifest only, without torch.

    ``load_updater`` and ``load_bundle`` hold the rules against the bundle's fingerprint.

    Raises:
        BundleError: The bundle is missing or damaged.
    """
    return read_manifest(directory).state


def load_bundle(directory: Path) -> Bundle:
    """Load a whole bundle; imports torch.

    Raises:
        BundleError: The bundle is missing or damaged.
    """
    import torch

    from models.ctr_model import CtrModel
    from models.ranker import Ranker

    parts = _read(directory)
    manifest, vocabulary = parts.manifest, parts.vocabulary
    try:
        config = CtrConfig.from_dict(manifest.config)
        model = CtrModel(config, vocabulary.table_rows)
        weights = {
            name: torch.from_numpy(np.array(tensor))
            for name, tensor in parts.tensors.items()
            if not name.startswith("vocabulary.")
        }
        model.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BundleError(f"bundle {directory} does not fit its configuration: {error}") from error
    updater = parts.updater
    return Bundle(
        name=manifest.name,
        fingerprint=manifest.fingerprint,
        memory_fingerprint=0 if updater is None else updater.fingerprint,
        manifest=msgspec.to_builtins(manifest),
        state=manifest.state,
        vocabulary=vocabulary,
        ranker=Ranker(model, vocabulary),
        updater=updater,
    )


@dataclass(frozen=True)
class TrainingRecord:
    """What a bundle says of its training: figures and data."""

    metrics: dict[str, Any]
    trained_on: dict[str, Any]


def save_bundle(
    directory: Path,
    config: dict[str, Any],
    state: StateConfig,
    vocabulary: Vocabulary,
    weights: Arrays,
    record: TrainingRecord,
) -> Manifest:
    """Write a bundle; a reader sees the old one or this one.

    Args:
        directory: Where; made when it does not exist.
        config: ``CtrConfig`` as values.
        state: State rules of the training histories.
        vocabulary: Ids of the tables.
        weights: Tensors by name.
        record: What to say of the training.

    Returns:
        The manifest as written.

    Raises:
        ConfigurationError: The directory cannot be written to.
    """
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in weights.items()}
    tensors |= vocabulary.to_tensors()
    fingerprint = _fingerprint(config, state, tensors)
    updater = _updater_of(config, vocabulary, tensors)
    content = encode_tensors(tensors)
    manifest = Manifest(
        format=FORMAT,
        name=CtrConfig.from_dict(config).name,
        fingerprint=fingerprint,
        memory_fingerprint=_memory_fingerprint(updater),
        config=config,
        state=state,
        weights=WeightsFile(
            file=f"weights-{fingerprint}.safetensors",
            bytes=len(content),
            blake2b=hashlib.blake2b(content, digest_size=16).hexdigest(),
        ),
        metrics=record.metrics,
        trained_on=record.trained_on,
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    with writing(directory):
        write_atomically(directory / manifest.weights.file, content)
        write_atomically(directory / MANIFEST, text + b"\n")
        for old in directory.glob("weights-*.safetensors"):
            if old.name != manifest.weights.file:
                old.unlink()
    return manifest


def untrained_bundle(
    directory: Path,
    model: str = "din+mimn",
    seed: int = 0,
    vocabulary: Vocabulary | None = None,
    state: StateConfig | None = None,
) -> Manifest:
    """Write a bundle of random weights: everything works with it, its scores mean nothing.

    Args:
        directory: Where.
        model: Model name.
        seed: Of the weights; another seed gives another memory fingerprint.
        vocabulary: Known ids; items 1 to 1000 in categories 1 to 50 when None.
        state: State rules; the defaults when None.
    """
    import torch

    from models.ctr_model import CtrModel, weights_of

    if vocabulary is None:
        items = np.arange(1, 1001, dtype=np.uint64)
        vocabulary = Vocabulary.from_pairs(items, items % 50 + 1)
    rules = state or StateConfig()
    config = default_config(model, n_types=len(rules.event_types))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CtrModel(config, vocabulary.table_rows)
        for table in (network.item_table, network.category_table):
            # Large enough that every event moves the state visibly.
            torch.nn.init.normal_(table.weight, std=0.5)
    record = TrainingRecord(metrics={}, trained_on={"note": "untrained, random weights"})
    return save_bundle(directory, config.to_dict(), rules, vocabulary, weights_of(network), record)
