"""Views of a user's records for people: pure functions from stored bytes to JSON-able values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interest_center.answers import StoredState
from interest_center.core.behaviors import Behaviors, Profile
from interest_center.core.ids import PADDING_ID, is_hashed
from interest_center.core.layout import StateConfig
from interest_center.core.protocols import MemoryUpdater
from interest_center.core.records import (
    decode_memory,
    decode_profile,
    decode_subsequence,
)


@dataclass(frozen=True)
class Freshness:
    """How fresh an answer is; the same for all users of one read.

    Attributes:
        partition: Partition that owns the user.
        watermark: Next offset of the partition: every earlier event is in the answer.
        now_ms: The caller's clock.
        history_from: First offset that the states have seen.
        memory_from: First offset that the memories have seen, None when none is served.
    """

    partition: int
    watermark: int
    now_ms: int
    history_from: int
    memory_from: int | None


class InterestViews:
    """Turns stored records into the JSON of the state API.

    Args:
        config: Rules of the states: names of the event types.
        updater: Memory model that wrote the memories, None when there is none.
    """

    def __init__(self, config: StateConfig, updater: MemoryUpdater | None) -> None:
        self.config = config
        self.updater = updater

    def hashed_ids(self, stored: StoredState) -> set[int]:
        """Return the item and category ids of a state whose texts must be looked up."""
        ids: set[int] = set(stored.subsequences)
        if stored.profile is not None:
            profile = decode_profile(stored.profile)
            ids.update(profile.item.tolist(), profile.category.tolist())
            ids.update(profile.directory.category.tolist())
        for record in stored.subsequences.values():
            ids.update(decode_subsequence(record).item.tolist())
        return {identifier for identifier in ids if is_hashed(identifier)}

    def interest(
        self,
        user_id: str,
        stored: StoredState,
        texts: Mapping[int, str],
        freshness: Freshness,
        raw_memory: bool = False,
    ) -> dict[str, Any]:
        """Return the body of ``GET /v1/users/{id}/interest``; an unknown user is an empty state.

        Args:
            user_id: As asked for.
            stored: Records of the user.
            texts: Texts of hashed ids, from ``PartitionCenter.texts_of(hashed_ids(stored))``.
            freshness: Of the read.
            raw_memory: Whether to add all values of the memory.
        """
        profile = decode_profile(stored.profile) if stored.profile is not None else None
        return {
            "user_id": user_id,
            "event_count": profile.event_count if profile is not None else 0,
            "counts": self._counts(profile) if profile is not None else {},
            "last_event_time_ms": profile.last_event_time_ms if profile is not None else None,
            "chain_hash": f"{profile.chain_hash if profile is not None else 0:016x}",
            "behaviors": self._behaviors(profile, texts) if profile is not None else [],
            "categories": _categories(profile, texts) if profile is not None else [],
            "memory": self._memory(stored, raw_memory),
            "freshness": self._freshness(profile, freshness),
        }

    def category(
        self,
        user_id: str,
        category_id: str,
        stored: StoredState,
        texts: Mapping[int, str],
        freshness: Freshness,
    ) -> dict[str, Any]:
        """Return the body of ``GET /v1/users/{id}/categories/{category}``.

        ``stored.subsequences`` must have been read for that category and no other.
        """
        profile = decode_profile(stored.profile) if stored.profile is not None else None
        records = list(stored.subsequences.values())
        behaviors = decode_subsequence(records[0]) if records else None
        return {
            "user_id": user_id,
            "category_id": category_id,
            "behaviors": self._behaviors(behaviors, texts) if behaviors is not None else [],
            "freshness": self._freshness(profile, freshness),
        }

    def _counts(self, profile: Profile) -> dict[str, int]:
        """Return the applied events by type."""
        names = self.config.event_types
        return {names[code - 1]: n for code, n in profile.type_counts.items()}

    def _behaviors(self, behaviors: Behaviors, texts: Mapping[int, str]) -> list[dict[str, Any]]:
        """Return behaviors, newest first."""
        columns = (
            behaviors.item[::-1].tolist(),
            behaviors.category[::-1].tolist(),
            behaviors.event_type[::-1].tolist(),
            behaviors.event_time_ms[::-1].tolist(),
        )
        return [
            {
                "item_id": _text(item, texts),
                "category_id": _text(category, texts) if category != PADDING_ID else None,
                "event_type": self.config.event_types[event_type - 1],
                "event_time_ms": time_ms,
            }
            for item, category, event_type, time_ms in zip(*columns, strict=True)
        ]

    def _memory(self, stored: StoredState, raw_memory: bool) -> dict[str, Any] | None:
        """Return a summary of the memory, None without one."""
        if stored.memory is None or self.updater is None:
            return None
        row = decode_memory(stored.memory)
        memory = {
            "model": self.updater.name,
            "fingerprint": f"{self.updater.fingerprint:016x}",
            **self.updater.summarise(row),
        }
        return memory | {"values": row.tolist()} if raw_memory else memory

    def _freshness(self, profile: Profile | None, freshness: Freshness) -> dict[str, Any]:
        """Say how fresh an answer about one user is."""
        as_of_ms = profile.last_event_time_ms if profile is not None else None
        served = self.updater is not None and freshness.memory_from is not None
        return {
            "as_of_ms": as_of_ms,
            "age_ms": freshness.now_ms - as_of_ms if as_of_ms is not None else None,
            "watermark": freshness.watermark,
            "partition": freshness.partition,
            "model": f"{self.updater.fingerprint:016x}" if self.updater and served else None,
            "history_from": freshness.history_from,
            "memory_from": freshness.memory_from,
        }


def _categories(profile: Profile, texts: Mapping[int, str]) -> list[dict[str, Any]]:
    """Return the categories that have a sub-sequence, last updated first."""
    directory = profile.directory
    return [
        {
            "category_id": _text(int(directory.category[slot]), texts),
            "size": int(directory.size[slot]),
            "last_event_time_ms": int(directory.event_time_ms[slot]),
        }
        for slot in directory.updated_at.argsort()[::-1]
    ]


def _text(identifier: int, texts: Mapping[int, str]) -> str:
    """Return an id as it was sent; one whose text is not known is shown by its bits."""
    if is_hashed(identifier):
        return texts.get(identifier, f"#{identifier:016x}")
    return str(identifier)
