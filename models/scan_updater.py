"""What every updater with a compiled scan needs: checked tensors, ids, fingerprint."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import BundleError
from models.fingerprint import fingerprint_of
from models.memory_config import MemoryConfig
from models.scan_kernels import F32, EventTables
from models.vocabulary import Vocabulary

Arrays = Mapping[str, NDArray[Any]]


class TrainedTensor(NamedTuple):
    """Where a scan finds one of its arrays: name in the bundle, and the shape that it must have."""

    name: str
    shape: tuple[int, ...]


def _event_tensors(config: MemoryConfig, vocabulary: Vocabulary) -> dict[str, TrainedTensor]:
    """Return the embedding tables by the fields of ``EventTables``."""
    rows = vocabulary.table_rows
    return {
        "item_table": TrainedTensor("item_table.weight", (rows.items, config.item_dim)),
        "category_table": TrainedTensor(
            "category_table.weight", (rows.categories, config.category_dim)
        ),
    }


def cell_tensors(field: str, name: str, input_dim: int, dim: int) -> dict[str, TrainedTensor]:
    """Return the tensors of a ``layers.GruCell``.

    Args:
        field: What their fields begin with.
        name: The cell's name in the bundle.
        input_dim: Width of its input.
        dim: Width of its hidden state.
    """
    width = input_dim + dim
    return {
        f"{field}_gates": TrainedTensor(f"{name}.gates", (width, 2 * dim)),
        f"{field}_gates_bias": TrainedTensor(f"{name}.gates_bias", (2 * dim,)),
        f"{field}_candidate": TrainedTensor(f"{name}.candidate", (width, dim)),
        f"{field}_candidate_bias": TrainedTensor(f"{name}.candidate_bias", (dim,)),
    }


def _checked(tensors: Arrays, expected: TrainedTensor) -> F32:
    tensor = tensors.get(expected.name)
    if tensor is None or tensor.shape != expected.shape:
        found = "missing" if tensor is None else f"of shape {list(tensor.shape)}"
        raise BundleError(f"tensor {expected.name} is {found}, expected {list(expected.shape)}")
    if not np.isfinite(tensor).all():
        raise BundleError(f"tensor {expected.name} is not finite")
    return np.ascontiguousarray(tensor, np.float32)


class ScanUpdater(ABC):
    """Memory updater of a trained model (``interest_center.core.protocols.MemoryUpdater``).

    Attributes:
        trained: Trained tensors that the scan reads, by the names of its own arrays.

    Args:
        config: Sizes.
        vocabulary: Ids of the embedding tables.
        tensors: Trained tensors of a bundle; those that the scan does not read are not looked at.

    Raises:
        BundleError: A tensor is missing, of another shape, or not finite.
    """

    name: ClassVar[str]
    #: Raised when the scan or the row changes its meaning.
    version: ClassVar[int] = 1

    def __init__(self, config: MemoryConfig, vocabulary: Vocabulary, tensors: Arrays) -> None:
        self.row_floats = config.row_floats
        of_events = _event_tensors(config, vocabulary)
        self.trained = of_events | self.trained_tensors()
        fields = {field: _checked(tensors, one) for field, one in self.trained.items()}
        ids = {
            "item_ids": np.ascontiguousarray(vocabulary.items, np.uint64),
            "item_categories": np.ascontiguousarray(vocabulary.item_categories, np.uint64),
            "category_ids": np.ascontiguousarray(vocabulary.categories, np.uint64),
        }
        identity = {"model": self.name, "row": self.version, "config": config.to_dict()}
        self.fingerprint = fingerprint_of(identity, ids | fields)
        tables: dict[str, Any] = ids | {field: fields.pop(field) for field in of_events}
        self.take(EventTables(**tables), fields)

    @abstractmethod
    def trained_tensors(self) -> dict[str, TrainedTensor]:
        """Return the model's own tensors, by the names of the scan's arrays."""

    @abstractmethod
    def take(self, tables: EventTables, fields: dict[str, F32]) -> None:
        """Keep the checked tensors, by the names of the scan's arrays."""

    @abstractmethod
    def initial_row(self) -> F32:
        """Return the memory of a user without events, ``[row_floats]``."""

    @abstractmethod
    def scan(
        self,
        rows: F32,
        row_index: NDArray[np.int64],
        items: NDArray[np.uint64],
        categories: NDArray[np.uint64],
    ) -> None:
        """Apply events in order, in place, without the GIL; all arrays are C-contiguous."""

    @abstractmethod
    def summarise(self, row: F32) -> dict[str, Any]:
        """Return what a person wants to know of a memory."""

    def update_many(
        self,
        rows: F32,
        row_index: NDArray[np.int64],
        items: NDArray[np.uint64],
        categories: NDArray[np.uint64],
    ) -> None:
        """Apply events in order, in place, without the GIL (see the protocol)."""
        assert rows.dtype == np.float32
        assert rows.flags.c_contiguous
        assert rows.shape[1] == self.row_floats
        self.scan(
            rows,
            np.ascontiguousarray(row_index, np.int64),
            np.ascontiguousarray(items, np.uint64),
            np.ascontiguousarray(categories, np.uint64),
        )


def rounded_norms(vectors: NDArray[np.float32]) -> list[float]:
    """Return the length of each vector, ``[n, dim]`` to ``n`` numbers, as a person reads them."""
    return [round(float(norm), 6) for norm in np.linalg.norm(vectors, axis=-1)]
