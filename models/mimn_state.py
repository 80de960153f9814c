"""What a MIMN keeps of a user: its sizes, its row of named float32 fields; numpy only."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import BundleError
from models.memory_config import MemoryConfig
from models.value_ranges import Count

Utilisation = Literal["transfer_matrix", "elementwise", "elementwise_renormalised", "off"]
UTILISATIONS: tuple[Utilisation, ...] = (
    "transfer_matrix",
    "elementwise",
    "elementwise_renormalised",
    "off",
)


@dataclass(frozen=True)
class MimnConfig(MemoryConfig):
    """Sizes of a MIMN and the reading of its ambiguous equation.

    Attributes:
        n_slots: Memory slots m.
        controller_dim: Width of the controller's hidden state.
        channel_dim: Width of a channel of the memory induction unit.
        n_top_channels: Channels that an event moves (k of the paper).
        utilisation: How the transfer matrix of eq 6 acts on the write weights.
    """

    n_slots: Count = 4
    controller_dim: Count = 32
    channel_dim: Count = 32
    n_top_channels: int = 1
    utilisation: Utilisation = "transfer_matrix"

    def __post_init__(self) -> None:
        if self.utilisation not in UTILISATIONS:
            raise BundleError(f"unknown memory utilisation {self.utilisation!r}")
        if not 0 <= self.n_top_channels <= self.n_slots:
            raise BundleError(
                f"{self.n_top_channels} top channels do not fit {self.n_slots} memory slots"
            )

    @property
    def slot_dim(self) -> int:
        """Width of a memory slot (D): that of an event."""
        return self.event_dim

    @property
    def row_dtype(self) -> np.dtype[np.void]:
        """The fields of a user's row, all float32.

        ``usage`` is the mean of the write weights w~ over the user's events and ``n_events`` their
        number, so that the sum g of eq 5 is ``usage * n_events``: a mean keeps its precision over
        any history, a float32 sum does not. ``n_events`` is exact up to 2**24, then it stands.
        """
        return np.dtype(
            [
                ("memory", "<f4", (self.n_slots, self.slot_dim)),
                ("controller", "<f4", (self.controller_dim,)),
                ("read", "<f4", (self.slot_dim,)),
                ("channels", "<f4", (self.n_slots, self.channel_dim)),
                ("usage", "<f4", (self.n_slots,)),
                ("n_events", "<f4"),
            ]
        )

    def initial_row(self, initial_memory: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the row of a user without events: the learned first memory, all else 0."""
        row = np.zeros(1, self.row_dtype)
        row["memory"][0] = initial_memory
        return row.view(np.float32)
