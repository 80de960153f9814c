"""The snapshots in the target, as operators name them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from interest_center.core.errors import ConfigurationError
from interest_center.settings import Settings
from interest_center.stores.snapshot_target import SnapshotManifest, SnapshotTarget


@dataclass(frozen=True)
class KeptSnapshot:
    """A snapshot in the target, under the short name that commands take."""

    manifest: SnapshotManifest

    @property
    def id(self) -> str:
        """The random part of its name."""
        return self.manifest.name.rsplit("-", 1)[-1].removesuffix(".json")

    @property
    def created(self) -> str:
        """When it was made, UTC."""
        moment = datetime.fromtimestamp(self.manifest.created_ms / 1000, UTC)
        return moment.isoformat(sep=" ", timespec="seconds").replace("+00:00", "")

    def as_json(self) -> dict[str, Any]:
        """Return what ``list`` shows."""
        meta = self.manifest.meta
        return {
            "id": self.id,
            "topic": meta.identity.topic,
            "topic_id": meta.identity.topic_id,
            "partition": meta.identity.partition,
            "offset": meta.watermark,
            "created_ms": self.manifest.created_ms,
            "size_bytes": self.manifest.size_bytes,
            "memory": f"{meta.memory_fingerprint:016x}" if meta.memory_fingerprint else None,
            "rules": meta.config_fingerprint,
            "layout_version": meta.layout_version,
            "history_from": meta.history_from,
        }


def snapshot_target(settings: Settings) -> SnapshotTarget:
    """Return the target of the snapshots.

    Raises:
        ConfigurationError: Snapshots are switched off, or there is no such kind of target.
    """
    if settings.snapshots is None:
        raise ConfigurationError(
            "snapshots are switched off", hint="name their place: --snapshot-url URL"
        )
    return SnapshotTarget(settings.snapshots)


def kept_snapshots(settings: Settings) -> list[KeptSnapshot]:
    """Return the snapshots in the target, newest first.

    Raises:
        ConfigurationError: The target cannot be read.
    """
    try:
        manifests, _ = snapshot_target(settings).manifests()
    except OSError as error:
        raise ConfigurationError(
            f"cannot look for snapshots at {settings.snapshots}: {error}"
        ) from error
    return [
        KeptSnapshot(one) for one in sorted(manifests, key=lambda m: m.created_ms, reverse=True)
    ]


def chosen_snapshots(kept: Sequence[KeptSnapshot], ids: Sequence[str]) -> list[KeptSnapshot]:
    """Return the snapshots of these short names, all when there is none.

    Raises:
        ConfigurationError: A name is of no snapshot.
    """
    by_id = {one.id: one for one in kept}
    unknown = [name for name in ids if name not in by_id]
    if unknown:
        raise ConfigurationError(
            f"there is no snapshot {unknown[0]}", hint="`uic snapshot list` shows them"
        )
    return [by_id[name] for name in dict.fromkeys(ids)] if ids else list(kept)
