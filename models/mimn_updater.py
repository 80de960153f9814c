"""The MIMN as the worker sees it: rows in, rows out; numpy and numba, no torch."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import BundleError
from models.mimn_scan import ScanWeights, scan_events
from models.mimn_state import UTILISATIONS, MimnConfig
from models.vocabulary import Vocabulary

Arrays = Mapping[str, NDArray[Any]]

#: Field of ``ScanWeights`` by the name of the trained tensor.
TENSORS = {
    "item_table": "item_table.weight",
    "category_table": "category_table.weight",
    "initial_memory": "memory.initial_memory",
    "controller_gates": "memory.controller.gates",
    "controller_gates_bias": "memory.controller.gates_bias",
    "controller_candidate": "memory.controller.candidate",
    "controller_candidate_bias": "memory.controller.candidate_bias",
    "heads": "memory.heads",
    "heads_bias": "memory.heads_bias",
    "transfer": "memory.transfer",
    "channel_gates": "memory.channels.gates",
    "channel_gates_bias": "memory.channels.gates_bias",
    "channel_candidate": "memory.channels.candidate",
    "channel_candidate_bias": "memory.channels.candidate_bias",
}


def expected_shapes(config: MimnConfig, vocabulary: Vocabulary) -> dict[str, tuple[int, ...]]:
    """Return the shape of each field of ``ScanWeights`` that is trained."""
    d, m, h, c = config.slot_dim, config.n_slots, config.controller_dim, config.channel_dim
    return {
        "item_table": (vocabulary.table_rows.items, config.item_dim),
        "category_table": (vocabulary.table_rows.categories, config.category_dim),
        "initial_memory": (m, d),
        "controller_gates": (2 * d + h, 2 * h),
        "controller_gates_bias": (2 * h,),
        "controller_candidate": (2 * d + h, h),
        "controller_candidate_bias": (h,),
        "heads": (h, 4 * d),
        "heads_bias": (4 * d,),
        "transfer": (m, m if config.utilisation == "transfer_matrix" else 1, m),
        "channel_gates": (2 * d + c, 2 * c),
        "channel_gates_bias": (2 * c,),
        "channel_candidate": (2 * d + c, c),
        "channel_candidate_bias": (c,),
    }


def fingerprint_of(identity: Mapping[str, Any], arrays: Arrays) -> int:
    """Return 64 bits that cover a JSON-able identity and named arrays; never 0."""
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=8)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return int.from_bytes(digest.digest(), "little") or 1


class MimnUpdater:
    """Memory updater of a trained MIMN (``interest_center.core.protocols.MemoryUpdater``).

    Args:
        config: Sizes.
        vocabulary: Ids of the embedding tables.
        tensors: Trained tensors by the names of ``TENSORS``; others are not looked at.

    Raises:
        BundleError: A tensor is missing, of another shape, or not finite.
    """

    name = "mimn"

    def __init__(self, config: MimnConfig, vocabulary: Vocabulary, tensors: Arrays) -> None:
        self.config = config
        fields: dict[str, Any] = {}
        for field, shape in expected_shapes(config, vocabulary).items():
            tensor = tensors.get(TENSORS[field])
            if tensor is None or tensor.shape != shape:
                found = "missing" if tensor is None else f"of shape {list(tensor.shape)}"
                raise BundleError(f"tensor {TENSORS[field]} is {found}, expected {list(shape)}")
            if not np.isfinite(tensor).all():
                raise BundleError(f"tensor {TENSORS[field]} is not finite")
            fields[field] = np.ascontiguousarray(tensor, np.float32)
        ids: dict[str, Any] = {
            "item_ids": np.ascontiguousarray(vocabulary.items, np.uint64),
            "item_categories": np.ascontiguousarray(vocabulary.item_categories, np.uint64),
            "category_ids": np.ascontiguousarray(vocabulary.categories, np.uint64),
        }
        self._weights = ScanWeights(**ids, **fields)
        self._form = UTILISATIONS.index(config.utilisation)
        identity = {"model": self.name, "row": 1, "config": config.to_dict()}
        self.fingerprint = fingerprint_of(identity, self._weights._asdict())
        self.row_floats = config.row_floats

    def initial_row(self) -> NDArray[np.float32]:
        """Return the memory of a user without events, ``[row_floats]``."""
        return self.config.initial_row(self._weights.initial_memory)

    def update_many(
        self,
        rows: NDArray[np.float32],
        row_index: NDArray[np.int64],
        items: NDArray[np.uint64],
        categories: NDArray[np.uint64],
    ) -> None:
        """Apply events in order, in place, without the GIL (see the protocol)."""
        assert rows.dtype == np.float32
        assert rows.flags.c_contiguous
        assert rows.shape[1] == self.row_floats
        scan_events(
            rows,
            np.ascontiguousarray(row_index, np.int64),
            np.ascontiguousarray(items, np.uint64),
            np.ascontiguousarray(categories, np.uint64),
            self._weights,
            (self.config.n_top_channels, self._form),
        )

    def summarise(self, row: NDArray[np.float32]) -> dict[str, Any]:
        """Return what a person wants to know of a memory: norms and use of its slots."""
        fields = self.config.fields_of(row)
        return {
            "n_events": int(fields["n_events"]),
            "slot_norms": [
                round(float(norm), 6) for norm in np.linalg.norm(fields["memory"], axis=-1)
            ],
            "slot_use": [round(float(use), 6) for use in fields["usage"]],
            "channel_norms": [
                round(float(norm), 6) for norm in np.linalg.norm(fields["channels"], axis=-1)
            ],
        }
