"""The MIMN as the worker sees it: rows in, rows out; numpy and numba, no torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.mimn_scan import ScanWeights, scan_events
from models.mimn_state import UTILISATIONS, MimnConfig
from models.scan_kernels import F32, EventTables
from models.scan_updater import Arrays, ScanUpdater, TrainedTensor, cell_tensors, rounded_norms
from models.vocabulary import Vocabulary


class MimnUpdater(ScanUpdater):
    """Memory updater of a trained MIMN; see ``ScanUpdater``.

    Args:
        config: Sizes.
        vocabulary: Ids of the embedding tables.
        tensors: Trained tensors of a bundle.
    """

    name = "mimn"

    def __init__(self, config: MimnConfig, vocabulary: Vocabulary, tensors: Arrays) -> None:
        self.config = config
        self._form = UTILISATIONS.index(config.utilisation)
        super().__init__(config, vocabulary, tensors)

    def trained_tensors(self) -> dict[str, TrainedTensor]:
        """Return the model's own tensors, by the fields of ``ScanWeights``."""
        config = self.config
        d, m, h = config.slot_dim, config.n_slots, config.controller_dim
        width = m if config.utilisation == "transfer_matrix" else 1
        return {
            "initial_memory": TrainedTensor("memory.initial_memory", (m, d)),
            **cell_tensors("controller", "memory.controller", 2 * d, h),
            "heads": TrainedTensor("memory.heads", (h, 4 * d)),
            "heads_bias": TrainedTensor("memory.heads_bias", (4 * d,)),
            "transfer": TrainedTensor("memory.transfer", (m, width, m)),
            **cell_tensors("channel", "memory.channels", 2 * d, config.channel_dim),
        }

    def take(self, tables: EventTables, fields: dict[str, F32]) -> None:
        """Keep the checked tensors as the scan takes them."""
        self._weights = ScanWeights(tables, **fields)

    def initial_row(self) -> F32:
        """Return the memory of a user without events, ``[row_floats]``."""
        return self.config.initial_row(self._weights.initial_memory)

    def scan(
        self,
        rows: F32,
        row_index: NDArray[np.int64],
        items: NDArray[np.uint64],
        categories: NDArray[np.uint64],
    ) -> None:
        """Apply events in order, in place."""
        options = (self.config.n_top_channels, self._form)
        scan_events(rows, row_index, items, categories, self._weights, options)

    def summarise(self, row: F32) -> dict[str, Any]:
        """Return what a person wants to know of a memory: norms and use of its slots."""
        fields = self.config.fields_of(row)
        return {
            "n_events": int(fields["n_events"]),
            "slot_norms": rounded_norms(fields["memory"]),
            "slot_use": [round(float(use), 6) for use in fields["usage"]],
            "channel_norms": rounded_norms(fields["channels"]),
        }
