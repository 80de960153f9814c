"""A training that was left, on disk: everything that the rest of it needs to end the same.

It is written between the parts of an epoch. Orders and random choices follow from seed, epoch and
step, so that weights, averages, moments and the position are all there is; a training taken up
again makes the steps that it would have made, and ends with the same weights.

    +---------------------+-------------------+--------------------------------+
    | "uic training 1" LF | blake2b of the    | torch.save of plain values and |
    | (15 bytes)          | rest (16 bytes)   | tensors                        |
    +---------------------+-------------------+--------------------------------+

The rest is read with ``weights_only``: nothing in it is executed.
"""

import hashlib
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from interest_center.core.errors import ConfigurationError
from models.bundle_files import write_atomically, writing
from models.processes import told_by_leader
from models.training import Trainer
from models.training_options import Position

_FILE = "training-state.pt"
_HEAD = b"uic training 1\n"
_DIGEST_BYTES = 16


def state_path(directory: Path) -> Path:
    """Return where the state of a training into a directory lies."""
    return directory / _FILE


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def save_training(trainer: Trainer, directory: Path, identity: dict[str, Any]) -> None:
    """Write the state of a training; the one before is replaced as a whole.

    Args:
        trainer: Between two parts.
        directory: Of the bundle.
        identity: What makes the training this one: data, sizes, options; JSON-able.

    Raises:
        ConfigurationError: The directory cannot be written to.
    """
    buffer = io.BytesIO()
    torch.save(
        {
            "identity": json.dumps(identity),
            "position": json.dumps(asdict(trainer.position)),
            "model": trainer.model.state_dict(),
            "averaged": trainer.averaged.state_dict(),
            "best": trainer.best,
            "optimiser": trainer.optimiser.state_dict(),
            "tables": [optimiser.state for optimiser in trainer.tables.optimisers],
        },
        buffer,
    )
    content = buffer.getvalue()
    with writing(directory):
        _remove_unfinished(directory)
        write_atomically(state_path(directory), _HEAD + _digest(content) + content)


def remove_state(directory: Path) -> None:
    """Remove the state of a training that is over."""
    state_path(directory).unlink(missing_ok=True)
    _remove_unfinished(directory)


def _remove_unfinished(directory: Path) -> None:
    """Remove what a training that was killed while it wrote its state has left."""
    for unfinished in directory.glob(f".{_FILE}.*.tmp"):
        unfinished.unlink(missing_ok=True)


def resume_training(trainer: Trainer, directory: Path, identity: dict[str, Any]) -> bool:
    """Take a training up where it was left; False when none was left.

    Of several processes the leader reads, so that the others need not see its disk.

    Raises:
        ConfigurationError: What was left is another training, or cannot be read.
    """
    path = state_path(directory)
    content = told_by_leader(lambda: _content_of(path))
    if content is None:
        return False
    left = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # As JSON has it: lists for tuples.
    differences = _differences(json.loads(left["identity"]), json.loads(json.dumps(identity)))
    if differences:
        raise ConfigurationError(
            f"{directory} holds a training that was left and is another one: "
            + "; ".join(differences),
            hint=_way_out(path),
        )
    try:
        _restore(trainer, left)
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"the training left in {path} is of another version and cannot be taken up",
            hint=_way_out(path),
        ) from error
    return True


def _way_out(path: Path) -> str:
    return f"remove {path} to begin anew, or give another --out"


def _content_of(path: Path) -> bytes | None:
    """Return what ``torch.save`` wrote into a state, None when there is none.

    Raises:
        ConfigurationError: It cannot be read, or is not what was written.
    """
    try:
        read = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror or error}", hint=_way_out(path)
        ) from error
    start = len(_HEAD) + _DIGEST_BYTES
    head, digest, content = read[: len(_HEAD)], read[len(_HEAD) : start], read[start:]
    if head != _HEAD or digest != _digest(content):
        what = "damaged" if head == _HEAD else "of another version"
        raise ConfigurationError(
            f"the training left in {path} is {what} and cannot be taken up", hint=_way_out(path)
        )
    return content


def _differences(found: dict[str, Any], wanted: dict[str, Any], prefix: str = "") -> list[str]:
    """Say what differs between two identities, ``options.seed 0, now 1``."""
    said = []
    for name in sorted({*found, *wanted}):
        one, other = found.get(name), wanted.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            said += _differences(one, other, f"{prefix}{name}.")
        elif one != other:
            said.append(f"{prefix}{name} {one}, now {other}")
    return said


def _restore(trainer: Trainer, left: dict[str, Any]) -> None:
    trainer.model.load_state_dict(left["model"])
    trainer.averaged.load_state_dict(left["averaged"])
    trainer.best = left["best"]
    trainer.optimiser.load_state_dict(left["optimiser"])
    for optimiser, state in zip(trainer.tables.optimisers, left["tables"], strict=True):
        optimiser.state = {name: tensor.to(trainer.device) for name, tensor in state.items()}
    position = json.loads(left["position"])
    trainer.position = Position(**{**position, "losses": tuple(position["losses"])})
