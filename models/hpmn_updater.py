"""The HPMN as the worker sees it: rows in, rows out; numpy and numba, no torch."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.hpmn_scan import ScanWeights, scan_events
from models.hpmn_state import HpmnConfig
from models.scan_kernels import F32, EventTables
from models.scan_updater import Arrays, ScanUpdater, TrainedTensor, cell_tensors, rounded_norms
from models.vocabulary import Vocabulary

_PARTS = ("gates", "gates_bias", "candidate", "candidate_bias")


class HpmnUpdater(ScanUpdater):
    """Memory updater of a trained HPMN; see ``ScanUpdater``.

    Args:
        config: Sizes.
        vocabulary: Ids of the embedding tables.
        tensors: Trained tensors of a bundle.
    """

    name = "hpmn"

    def __init__(self, config: HpmnConfig, vocabulary: Vocabulary, tensors: Arrays) -> None:
        self.config = config
        super().__init__(config, vocabulary, tensors)

    def trained_tensors(self) -> dict[str, TrainedTensor]:
        """Return the cells' tensors: ``slot_0_gates`` and so on."""
        config, found = self.config, dict[str, TrainedTensor]()
        for j in range(config.n_slots):
            input_dim = config.slot_dim if j else config.event_dim
            found |= cell_tensors(f"slot_{j}", f"memory.cells.{j}", input_dim, config.slot_dim)
        return found

    def take(self, tables: EventTables, fields: dict[str, F32]) -> None:
        """Keep the checked tensors as the scan takes them: the cells after the first stacked."""
        dim, upper = self.config.slot_dim, dict[str, F32]()
        shapes = ((2 * dim, 2 * dim), (2 * dim,), (2 * dim, dim), (dim,))
        for part, shape in zip(_PARTS, shapes, strict=True):
            cells = [fields[f"slot_{j}_{part}"] for j in range(1, self.config.n_slots)]
            upper[part] = np.array(cells, np.float32).reshape(-1, *shape)
        gates, gates_bias, candidate, candidate_bias = (fields[f"slot_0_{p}"] for p in _PARTS)
        self._weights = ScanWeights(
            tables,
            np.array(self.config.periods, np.int64),
            (gates, gates_bias, candidate, candidate_bias),
            **upper,
        )

    def initial_row(self) -> F32:
        """Return the memory of a user without events, ``[row_floats]``."""
        return self.config.initial_row()

    def scan(
        self,
        rows: F32,
        row_index: NDArray[np.int64],
        items: NDArray[np.uint64],
        categories: NDArray[np.uint64],
    ) -> None:
        """Apply events in order, in place."""
        scan_events(rows, row_index, items, categories, self._weights)

    def summarise(self, row: F32) -> dict[str, Any]:
        """Return what a person wants to know of a memory: norms and time scales of its slots.

        ``slot_use`` is the share of the user's events that updated a slot.
        """
        fields, periods = self.config.fields_of(row), self.config.periods
        phase, n_events = int(fields["phase"]), int(fields["n_events"])
        return {
            "n_events": n_events,
            "slot_norms": rounded_norms(fields["slots"]),
            "slot_use": [round(n_events // p / max(n_events, 1), 6) for p in periods],
            "periods": list(periods),
            "events_since_update": self.config.events_since_update(phase, n_events),
        }
