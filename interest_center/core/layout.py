"""Shape of a user's state and the rules that fill it; its fingerprint guards every stored copy."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import ConfigurationError

#: Version of the record bytes. 2 has a journal beside the rows, 3 packed columns (``records.py``).
LAYOUT_VERSION = 3
#: Versions that are read; a copy of another one is not a start.
READ_VERSIONS = (1, 2, 3)
#: Version of the rules that make a state of events; a copy of another one is not a start.
RULES_VERSION = 1

DEFAULT_EVENT_TYPES = ("click", "view", "cart", "favorite", "purchase", "like", "dislike")
_LIKED = tuple(name for name in DEFAULT_EVENT_TYPES if name != "dislike")

FEEDS_BEHAVIORS = 1
FEEDS_SUBSEQUENCE = 2
FEEDS_MEMORY = 4


class StateConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a state keeps, and which event types feed which part of it.

    Attributes:
        event_types: Known types; the code of a type is 1 + its index.
        behavior_types: Types that enter the ring of recent behaviors.
        subsequence_types: Types that enter the sub-sequence of their category.
        memory_types: Types that the long-term memory sees.
        n_behaviors: Length of the ring of recent behaviors.
        n_event_ids: How many applied event ids are remembered to notice duplicates.
        n_subsequences: Categories kept of one user.
        n_subsequence_behaviors: Behaviors kept of one category.
        late_after_ms: An event this much older than the user's last event is dropped.
    """

    event_types: tuple[str, ...] = DEFAULT_EVENT_TYPES
    behavior_types: tuple[str, ...] = _LIKED
    subsequence_types: tuple[str, ...] = _LIKED
    memory_types: tuple[str, ...] = _LIKED
    n_behaviors: int = 100
    n_event_ids: int = 128
    n_subsequences: int = 64
    n_subsequence_behaviors: int = 50
    late_after_ms: int = 86_400_000

    def __post_init__(self) -> None:
        if not 1 <= len(self.event_types) <= 255 or len(set(self.event_types)) < len(
            self.event_types
        ):
            raise ConfigurationError("event_types must be 1 to 255 different names")
        for field in ("behavior_types", "subsequence_types", "memory_types"):
            unknown = sorted(set(getattr(self, field)) - set(self.event_types))
            if unknown:
                raise ConfigurationError(
                    f"{field} holds unknown event types {unknown}",
                    hint=f"event_types names all types: give {field} beside it, of these types",
                )
        for field in ("n_behaviors", "n_event_ids", "n_subsequences", "n_subsequence_behaviors"):
            if not 1 <= getattr(self, field) <= 65_535:
                raise ConfigurationError(f"{field} must be between 1 and 65535")
        if self.late_after_ms < 0:
            raise ConfigurationError("late_after_ms must not be negative")

    @property
    def fingerprint(self) -> str:
        """16 hex digits over every rule and the version of the rules."""
        rules = msgspec.json.encode((RULES_VERSION, self))
        return hashlib.blake2b(rules, digest_size=8).hexdigest()


def feeds_by_type(config: StateConfig) -> NDArray[np.uint8]:
    """Return, by event type code, the parts of the state that it feeds (``FEEDS_*`` bits)."""
    feeds = np.zeros(256, np.uint8)
    for code, name in enumerate(config.event_types, start=1):
        if name in config.behavior_types:
            feeds[code] |= FEEDS_BEHAVIORS
        if name in config.subsequence_types:
            feeds[code] |= FEEDS_SUBSEQUENCE
        if name in config.memory_types:
            feeds[code] |= FEEDS_MEMORY
    return feeds


def load_state_config(path: Path | None) -> StateConfig:
    """Read the rules from a JSON file; None means the defaults.

    Raises:
        ConfigurationError: The file cannot be read or holds an unknown or wrong field.
    """
    if path is None:
        return StateConfig()
    try:
        return msgspec.json.decode(path.read_bytes(), type=StateConfig)
    except OSError as error:
        raise ConfigurationError(f"cannot read the state configuration {path}: {error}") from error
    except msgspec.MsgspecError as error:
        raise ConfigurationError(
            f"state configuration {path}: {error}",
            hint="one JSON object of " + ", ".join(StateConfig.__struct_fields__),
        ) from error
