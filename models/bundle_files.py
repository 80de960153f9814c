"""The files of a bundle: manifest and tensors, read with their checksum, replaced as a whole."""

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as decode_tensors

from interest_center.core.errors import BundleError
from interest_center.core.layout import StateConfig

MANIFEST = "manifest.json"
FORMAT = 1


class WeightsFile(msgspec.Struct, frozen=True):
    """The weights file that a manifest belongs to."""

    file: str
    bytes: int
    blake2b: str


class Manifest(msgspec.Struct, frozen=True):
    """Everything of a bundle but its tensors.

    Attributes:
        format: Version of this file.
        name: Model name, for example ``din+mimn``.
        fingerprint: 16 hex digits over configuration, rules and tensors.
        memory_fingerprint: 16 hex digits of the updater, empty without a memory.
        config: ``CtrConfig`` as values.
        state: The state rules that the training histories followed.
        state_fingerprint: Fingerprint of those rules.
        weights: The tensors.
        metrics: Figures of the training run.
        trained_on: The data of the training run.
    """

    format: int
    name: str
    fingerprint: str
    memory_fingerprint: str
    config: dict[str, Any]
    state: StateConfig
    state_fingerprint: str
    weights: WeightsFile
    metrics: dict[str, Any] = {}
    trained_on: dict[str, Any] = {}


def read_manifest(directory: Path) -> Manifest:
    """Read the manifest of a bundle.

    Raises:
        BundleError: There is none, or it is not one of this format.
    """
    path = Path(directory) / MANIFEST
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"no bundle in {directory}: {error.strerror or error}",
            hint="give the directory that `uic train --out` wrote",
        ) from error
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise BundleError(f"damaged manifest {path}: {error}", hint="train it again") from error
    if manifest.format != FORMAT:
        raise BundleError(f"bundle {directory} has format {manifest.format}, expected {FORMAT}")
    return manifest


def read_tensors(directory: Path, manifest: Manifest) -> dict[str, NDArray[Any]]:
    """Read the tensors that a manifest names, after comparing their checksum.

    Raises:
        BundleError: The file is missing or is not the one that was written.
    """
    path = Path(directory) / manifest.weights.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"bundle {directory} lacks {manifest.weights.file}: {error.strerror or error}"
        ) from error
    if hashlib.blake2b(content, digest_size=16).hexdigest() != manifest.weights.blake2b:
        raise BundleError(
            f"{path} is damaged: {len(content)} bytes with another checksum than the manifest's",
            hint="copy the bundle again or train it again",
        )
    try:
        return dict(decode_tensors(content))
    except SafetensorError as error:
        raise BundleError(f"{path} is not a safetensors file: {error}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole; after a crash it is the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
