"""Bundles of random weights over the ids of a log: as good as trained ones to prove exactness."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from interest_center.core.ids import encode_id
from interest_center.core.layout import StateConfig
from models.bundle import TrainingRecord, save_bundle, untrained_bundle
from models.vocabulary import Vocabulary
from prove.logs import Event

#: Every so many items are left out, so that unknown ids are met as well.
LEFT_OUT_EVERY = 20
RECURRENT_SCALE = 0.35
DIAGONAL = 12.0
ERASE_BIAS = -4.0
ADD_SCALE = 0.2
FIRST_MEMORY_SCALE = 3.0


def bundle_for(events: list[Event], directory: Path, seed: int) -> Path:
    """Write a DIN+MIMN bundle that knows most items of a log, and return its directory.

    The weights are random, but of a memory that works: recurrent weights small enough not to be
    chaotic (float32 and float64 would part for good), slots that erase slowly and are written
    apart (in all-random ones they grow alike, and every choice of the top channel is a tie).
    """
    pairs = {event["item_id"]: event.get("category_id") for event in events}
    known = [item for number, item in enumerate(sorted(pairs)) if number % LEFT_OUT_EVERY]
    items = np.array([encode_id(item) for item in known], dtype=np.uint64)
    categories = np.array(
        [encode_id(category) if (category := pairs[item]) else 0 for item in known],
        dtype=np.uint64,
    )
    vocabulary = Vocabulary.from_pairs(items, categories)
    rough = directory.with_name(directory.name + "-rough")
    manifest = untrained_bundle(rough, "din+mimn", seed, vocabulary)
    weights = load_file(rough / manifest.weights.file)
    for name in weights:
        if name.startswith(("memory.controller.", "memory.channels.", "memory.heads")):
            weights[name] = weights[name] * np.float32(RECURRENT_SCALE)
    slot_dim = weights["memory.initial_memory"].shape[1]
    weights["memory.heads_bias"][2 * slot_dim : 3 * slot_dim] += np.float32(ERASE_BIAS)
    weights["memory.heads"][:, 3 * slot_dim :] *= np.float32(ADD_SCALE)
    weights["memory.initial_memory"] *= np.float32(FIRST_MEMORY_SCALE)
    transfer = weights["memory.transfer"]
    weights["memory.transfer"] = transfer + DIAGONAL * np.eye(len(transfer), dtype="f4")[..., None]
    record = TrainingRecord({}, {"note": f"random weights of seed {seed}"})
    save_bundle(directory, manifest.config, StateConfig(), vocabulary, weights, record)
    return directory
