"""A training that was left, on disk: everything that the rest of it needs to end the same.

It is written between the parts of an epoch. Orders and random choices follow from seed, epoch and
step, so that weights, averages, moments and the position are all there is; a training taken up
again makes the steps that it would have made, and ends with the same weights. The file is read
with ``weights_only``: nothing in it is executed.
"""

import io
import json
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from interest_center.core.errors import ConfigurationError
from models.bundle_files import write_atomically, writing
from models.training import Position, Trainer

_FILE = "training-state.pt"
_FORMAT = 1


def state_path(directory: Path) -> Path:
    """Return where the state of a training into a directory lies."""
    return directory / _FILE


def save_training(trainer: Trainer, directory: Path, identity: dict[str, Any]) -> None:
    """Write the state of a training; the one before is replaced as a whole.

    Args:
        trainer: Between two parts.
        directory: Of the bundle.
        identity: What makes the training this one: data, sizes, options; JSON-able.

    Raises:
        ConfigurationError: The directory cannot be written to.
    """
    content = io.BytesIO()
    torch.save(
        {
            "format": _FORMAT,
            "identity": json.dumps(identity, sort_keys=True),
            "position": json.dumps(asdict(trainer.position)),
            "model": trainer.model.state_dict(),
            "averaged": trainer.averaged.state_dict(),
            "best": trainer.best,
            "optimiser": trainer.optimiser.state_dict(),
            "tables": [optimiser.state for optimiser in trainer.tables.optimisers],
        },
        content,
    )
    with writing(directory):
        write_atomically(state_path(directory), content.getvalue())


def resume_training(trainer: Trainer, directory: Path, identity: dict[str, Any]) -> bool:
    """Take a training up where it was left; False when none was left.

    Raises:
        ConfigurationError: What was left is another training, or cannot be read.
    """
    path = state_path(directory)
    if not path.exists():
        return False
    hint = f"remove {path} to begin anew, or give another --out"
    try:
        left = torch.load(path, map_location=trainer.device, weights_only=True)
        wanted = json.loads(json.dumps(identity))
        found = json.loads(left["identity"])
        if left["format"] != _FORMAT or found != wanted:
            differ = sorted(
                name for name in {*found, *wanted} if found.get(name) != wanted.get(name)
            )
            raise ConfigurationError(
                f"{directory} holds a training that was left and is another one: it differs in "
                + ", ".join(differ or ["its format"]),
                hint=hint,
            )
        _restore(trainer, left)
    except (OSError, RuntimeError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise ConfigurationError(
            f"cannot read the training left in {path}: {error}", hint=hint
        ) from error
    return True


def _restore(trainer: Trainer, left: dict[str, Any]) -> None:
    trainer.model.load_state_dict(left["model"])
    trainer.averaged.load_state_dict(left["averaged"])
    trainer.best = left["best"]
    trainer.optimiser.load_state_dict(left["optimiser"])
    for optimiser, state in zip(trainer.tables.optimisers, left["tables"], strict=True):
        optimiser.state = state
    position = json.loads(left["position"])
    trainer.position = Position(**{**position, "losses": tuple(position["losses"])})
