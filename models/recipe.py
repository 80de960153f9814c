"""What a training is told: a model's name and named values, from a recipe file and ``--set``.

A recipe is a JSON object: ``{"model": "din+mimn", "history_length": 50, "reader.hidden": [64, 32],
"memory.n_slots": 6, "epochs": 3}``. Every name is a field of ``CtrConfig`` or of
``TrainingOptions``, or, behind ``reader.`` and ``memory.``, one of the model's own parts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from models.ctr_config import CtrConfig, default_config
from models.registry import load_class, memory_model, reader_model
from models.similar_names import one_of
from models.training_options import TrainingOptions

_READER, _MEMORY = "reader.", "memory."
#: Set by the model's name, or by values of their own names.
_NOT_SET = frozenset(["reader", "reader_config", "memory", "memory_config", "n_types"])


@dataclass(frozen=True)
class Recipe:
    """What to train and how.

    Attributes:
        model: Model name.
        values: Named values; what is not named has its default.
    """

    model: str
    values: Mapping[str, Any]

    def configs(self, state: StateConfig) -> tuple[CtrConfig, TrainingOptions]:
        """Return parts and sizes of the model, and how to train it.

        Raises:
            ConfigurationError: There is no such model or no such value, or one is of a wrong kind.
        """
        longest = state.n_behaviors
        config = default_config(self.model, len(state.event_types), longest)
        own, training = dict[str, Any](), dict[str, Any]()
        nested: dict[str, dict[str, Any]] = {"reader": {}, "memory": {}}
        known = {field.name for field in fields(CtrConfig)} - _NOT_SET
        trained = {field.name for field in fields(TrainingOptions)}
        for name, value in self.values.items():
            part, _, rest = name.partition(".")
            if rest and part in nested:
                nested[part][rest] = value
            elif name in known:
                own[name] = value
            elif name in trained:
                training[name] = value
            else:
                raise ConfigurationError(
                    f"there is no value {name!r} to set",
                    hint=one_of(name, sorted({*known, *trained, "reader.*", "memory.*"})),
                )
        config = _checked(CtrConfig, config.to_dict() | own)
        config = replace(config, **_parts(config, nested))
        if config.restart_every and not reader_model(config.reader).recurrent:
            raise ConfigurationError(
                f"restart_every is {config.restart_every}, but {config.reader} is no recurrence: "
                "its behaviors have no event to begin at",
                hint="leave restart_every out",
            )
        if config.longest_window > longest:
            raise ConfigurationError(
                f"the reader would see up to {config.longest_window} behaviors "
                f"(history_length {config.history_length}, restart_every "
                f"{config.restart_every}), a state holds {longest}",
                hint="lower history_length or restart_every, or raise n_behaviors of the state "
                "configuration",
            )
        return config, _checked(TrainingOptions, training)


def _parts(config: CtrConfig, nested: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the configurations of reader and memory with what was set."""
    reader = load_class(reader_model(config.reader).config)
    told = _checked(reader, nested["reader"], _READER)
    # The defaults too: what a bundle was trained with does not change with them.
    parts: dict[str, Any] = {
        "reader_config": msgspec.json.decode(msgspec.json.encode(asdict(told)))
    }
    if config.memory is None:
        if nested["memory"]:
            raise ConfigurationError(
                f"model {config.name} has no memory to set {sorted(nested['memory'])} of",
                hint="give a model with a memory, for example din+mimn",
            )
        return parts
    widths = {"item_dim": config.item_dim, "category_dim": config.category_dim}
    for name in sorted(set(widths) & set(nested["memory"])):
        raise ConfigurationError(
            f"{_MEMORY}{name} is not set by itself: a memory reads the model's own embeddings",
            hint=f"set {name}",
        )
    memory = load_class(memory_model(config.memory).config)
    sizes = _checked(memory, config.memory_config | widths | nested["memory"], _MEMORY)
    return parts | {"memory_config": sizes.to_dict()}


def _checked(kind: type[Any], values: Mapping[str, Any], prefix: str = "") -> Any:
    """Return a configuration of these values.

    Raises:
        ConfigurationError: A name is not one of its fields, or a value is of another kind.
    """
    known = {field.name for field in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigurationError(
            f"there is no value {prefix + unknown[0]!r} to set",
            hint=one_of(prefix + unknown[0], (prefix + name for name in sorted(known))),
        )
    try:
        return msgspec.convert(dict(values), kind)
    except msgspec.ValidationError as error:
        said = str(error).replace("`$.", f"`{prefix}")
        raise ConfigurationError(f"wrong value to set: {said}") from error


def read_recipe(path: Path | None, model: str | None, settings: Sequence[str]) -> Recipe:
    """Read a recipe; what is given beside it wins.

    Args:
        path: A recipe file, None for none.
        model: Model name, None for the recipe's.
        settings: ``NAME=VALUE``, the value as JSON; a text may stand without quotes.

    Raises:
        ConfigurationError: The file cannot be read, no model is named, or a setting has no value.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except OSError as error:
            raise ConfigurationError(
                f"cannot read the recipe {path}: {error.strerror or error}",
                hint="name a file by --recipe, or give values by --set",
            ) from error
        except msgspec.MsgspecError as error:
            raise ConfigurationError(
                f"cannot read the recipe {path}: {error}",
                hint='a recipe is one JSON object, for example {"model": "din", "epochs": 3}',
            ) from error
    named = model or values.pop("model", None)
    values.pop("model", None)
    if not isinstance(named, str):
        raise ConfigurationError("no model is named", hint="give --model, for example din+mimn")
    for setting in settings:
        name, separator, text = setting.partition("=")
        if not separator:
            raise ConfigurationError(
                f"--set {setting} has no value", hint="for example --set history_length=20"
            )
        try:
            values[name] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            values[name] = text
    return Recipe(named, values)
