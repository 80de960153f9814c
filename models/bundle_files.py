"""The files of a bundle: manifest and tensors, read with their checksum, replaced as a whole."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as decode_tensors

from interest_center.core.errors import BundleError, ConfigurationError
from interest_center.core.layout import StateConfig

MANIFEST = "manifest.json"
FORMAT = 3


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
        raise BundleError(
            f"bundle {directory} has format {manifest.format}, expected {FORMAT}",
            hint="train it again with this version",
        )
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


def read_files(directory: Path) -> tuple[Manifest, dict[str, NDArray[Any]]]:
    """Read manifest and tensors of one and the same bundle, also while it is being replaced.

    Raises:
        BundleError: The bundle is missing or damaged.
    """
    manifest = read_manifest(directory)
    try:
        return manifest, read_tensors(directory, manifest)
    except BundleError:
        replaced = read_manifest(directory)
        if replaced.weights == manifest.weights:
            raise
        # The bundle was replaced between the two reads, and the old weights are gone.
        return replaced, read_tensors(directory, replaced)


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Make a directory, if need be, and write to it in the body.

    Raises:
        ConfigurationError: The operating system does not allow it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {directory}: {error.strerror or error}",
            hint="give a directory that can be written to",
        ) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole; after a crash it is the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
