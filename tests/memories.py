"""Memory models under test: one set of weights as the worker, the trainer and the twin see it."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from models.bundle import Bundle, load_bundle, untrained_bundle
from models.bundle_files import read_manifest, read_tensors
from models.scan_updater import ScanUpdater

SEED = 20240611
_PREFIX = "memory."


@dataclass(frozen=True)
class Subject:
    """One memory model.

    Attributes:
        name: Its name.
        directory: A bundle.
        updater: The updater of the bundle.
        bundle: The bundle.
        twin: The plain twin, ``tests/reference``.
        weights: What the twin reads: sizes, the arrays of the scan, and the module's tensors by
            their own names.
    """

    name: str
    directory: Path
    updater: ScanUpdater
    bundle: Bundle
    twin: ModuleType
    weights: dict[str, Any]


def make_subject(name: str, directory: Path, seed: int = SEED) -> Subject:
    """Write an untrained bundle and load it in every form."""
    untrained_bundle(directory, model=f"din+{name}", seed=seed)
    bundle = load_bundle(directory)
    updater = bundle.updater
    assert isinstance(updater, ScanUpdater)
    found = read_tensors(directory, read_manifest(directory))
    own = {
        tensor.removeprefix(_PREFIX): found[tensor]
        for tensor in found
        if tensor.startswith(_PREFIX)
    }
    scanned = {field: found[one.name] for field, one in updater.trained.items()}
    lists = {field: array.astype(np.float64).tolist() for field, array in (own | scanned).items()}
    return Subject(
        name=name,
        directory=directory,
        updater=updater,
        bundle=bundle,
        twin=importlib.import_module(f"reference.{name}"),
        weights=bundle.manifest["config"]["memory_config"] | lists,
    )


def make_stream(n_events: int, n_users: int, seed: int = SEED) -> tuple[Any, Any, Any]:
    """Row indices, items and categories; some items unknown, some categories absent."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, n_users, n_events)
    items = rng.integers(1, 1300, n_events).astype(np.uint64)
    categories = rng.integers(0, 60, n_events).astype(np.uint64)
    return users, items, categories


def fresh_rows(updater: ScanUpdater, n_users: int) -> np.ndarray:
    """Return memories of users without events."""
    return np.tile(updater.initial_row(), (n_users, 1))


def embeddings(
    subject: Subject, items: np.ndarray, categories: np.ndarray
) -> Iterator[list[float]]:
    """What the twin gets of each event: looked up here with dictionaries, not by the product."""
    item_rows = {item: item for item in range(1, 1001)}
    category_rows = {category: category for category in range(1, 51)}
    for item, category in zip(items.tolist(), categories.tolist(), strict=True):
        known = category or (item % 50 + 1 if item in item_rows else 0)
        yield (
            subject.weights["item_table"][item_rows.get(item, 0)]
            + subject.weights["category_table"][category_rows.get(known, 0)]
        )


def walk_twin(subject: Subject, items: np.ndarray, categories: np.ndarray) -> Any:
    """Return the twin's state after the events."""
    state = subject.twin.initial_state(subject.weights)
    for x in embeddings(subject, items, categories):
        state = subject.twin.step(state, x, subject.weights)
    return state
