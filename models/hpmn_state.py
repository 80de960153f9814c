"""What an HPMN keeps of a user: its sizes and periods, its row of named fields; numpy only."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import BundleError
from models.memory_config import MAX_COUNT, MemoryConfig
from models.value_ranges import Count

CovarianceForm = Literal["norm", "half_squared"]
COVARIANCE_FORMS: tuple[CovarianceForm, ...] = ("norm", "half_squared")


@dataclass(frozen=True)
class HpmnConfig(MemoryConfig):
    """Sizes of an HPMN, its periods and the form of its regulariser.

    Attributes:
        periods: Events between two updates of each slot. The first is 1, and each is a multiple of
            the one before, so that a slot is never due without the slot that it reads.
        slot_dim: Width of a slot.
        n_hops: Rounds of attention of a read.
        hop_hidden: Widths of the hidden layers of a hop's attention.
        covariance: Form of the covariance regulariser, see ``hpmn.covariance_penalty``.
    """

    periods: tuple[Count, ...] = (1, 2, 4, 8, 16)
    slot_dim: Count = 32
    n_hops: Count = 3
    hop_hidden: tuple[Count, Count] = (32, 16)
    covariance: CovarianceForm = "norm"

    def __post_init__(self) -> None:
        if self.covariance not in COVARIANCE_FORMS:
            raise BundleError(f"unknown covariance regulariser {self.covariance!r}")
        periods = self.periods
        if not periods or periods[0] != 1:
            raise BundleError(f"the first slot is updated by every event, periods {periods}")
        for shorter, longer in pairwise(periods):
            if longer < shorter or longer % shorter:
                raise BundleError(f"period {longer} is no multiple of {shorter}, the one before")
        if periods[-1] > MAX_COUNT:
            raise BundleError(f"period {periods[-1]} is longer than {MAX_COUNT} events")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from a manifest's values."""
        own = dict(values)
        for name in ("periods", "hop_hidden"):
            if name in own:
                own[name] = tuple(own[name])
        return cls(**own)

    @property
    def n_slots(self) -> int:
        """Memory slots."""
        return len(self.periods)

    @property
    def row_dtype(self) -> np.dtype[np.void]:
        """The fields of a user's row, all float32.

        ``n_events`` is the number of the user's events, exact up to 2**24, then it stands.
        ``phase`` is that number modulo the longest period, which all others divide: which slots are
        due depends on it alone, so it is right for ever.
        """
        return np.dtype(
            [
                ("slots", "<f4", (self.n_slots, self.slot_dim)),
                ("phase", "<f4"),
                ("n_events", "<f4"),
            ]
        )

    def initial_row(self) -> NDArray[np.float32]:
        """Return the row of a user without events: zeros."""
        return np.zeros(self.row_floats, np.float32)

    def events_since_update(self, phase: int, n_events: int) -> list[int | None]:
        """Return how many events ago each slot was updated, None where it never was."""
        return [phase % period if n_events >= period else None for period in self.periods]
