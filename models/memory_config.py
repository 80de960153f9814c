"""What the configurations of memory models share: the width of an event, rows of named fields."""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

#: Largest whole number that float32 counts to: adding 1 to it changes nothing.
MAX_COUNT = 2**24


@dataclass(frozen=True)
class MemoryConfig(ABC):
    """Sizes of a memory model.

    Attributes:
        item_dim: Width of an item embedding.
        category_dim: Width of a category embedding.
    """

    item_dim: int = 16
    category_dim: int = 16

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from a manifest's values."""
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the values for a manifest."""
        return asdict(self)

    @property
    def event_dim(self) -> int:
        """Width of an event (D)."""
        return self.item_dim + self.category_dim

    @property
    @abstractmethod
    def row_dtype(self) -> np.dtype[np.void]:
        """The fields of a user's row, all float32; ``n_events`` is one of them."""

    @property
    def row_floats(self) -> int:
        """Float32 values of a row."""
        return self.row_dtype.itemsize // 4

    def fields_of(self, rows: NDArray[np.float32]) -> NDArray[np.void]:
        """View rows ``[..., row_floats]`` by the names of their fields, ``[...]``."""
        return np.ascontiguousarray(rows).view(self.row_dtype)[..., 0]
