"""One number for what moves a score or a memory: a hash over configuration and weights."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def fingerprint_of(identity: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> int:
    """Return 64 bits that cover a JSON-able identity and named arrays; never 0."""
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=8)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return int.from_bytes(digest.digest(), "little") or 1
