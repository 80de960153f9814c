"""``uic snapshot``: what lies in the snapshot target; make, check, put back, clean up."""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from interest_center.core.errors import ConfigurationError, InterestCenterError
from interest_center.core.layout import StateConfig
from interest_center.settings import Settings, load_settings
from interest_center.stores.snapshot_target import SnapshotTarget
from interest_center.stores.snapshots import Snapshots, download
from streams.copies import PartitionFiles
from streams.kept_snapshots import (
    KeptSnapshot,
    chosen_snapshots,
    kept_snapshots,
    snapshot_target,
)
from streams.state_lock import StateLock
from streams.state_questions import StateQuestions

_URL = click.option("--snapshot-url", help="Where the snapshots are.  [UIC_SNAPSHOT_URL]")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group()
def snapshot() -> None:
    """Snapshots of the states: create, list, verify, restore and prune them.

    Workers make them by themselves, every UIC_SNAPSHOT_INTERVAL_SECONDS and at their end, and start
    from them when they have no state of their own; these commands are for operators.
    """


@snapshot.command()
@_JSON
def create(as_json: bool) -> None:
    """Let the running workers (UIC_WORKER_URLS, and those they know) save all partitions now.

    Exit status 1 when a partition could not be saved.
    """
    saved = asyncio.run(_save_all(load_settings()))
    for one in saved:
        if as_json:
            click.echo(json.dumps(one))
        elif one["error"]:
            click.echo(f"partition {one['partition']}: not saved, {one['error']}")
        else:
            click.echo(
                f"partition {one['partition']}: offset {one['offset']:,}, "
                f"{one['uploaded_bytes']:,} bytes uploaded"
            )
    sys.exit(1 if any(one["error"] for one in saved) else 0)


async def _save_all(settings: Settings) -> list[dict[str, Any]]:
    async with StateQuestions(settings.worker_urls.split(",")) as questions:
        told = await questions.partitions()
        saved = []
        for url in sorted({str(status["owner_url"]) for status in told.values()}):
            saved += await questions.save_snapshots(url)
    return sorted(saved, key=lambda one: int(one["partition"]))


@snapshot.command("list")
@_URL
@_JSON
def list_snapshots(snapshot_url: str | None, as_json: bool) -> None:
    """List the snapshots, newest first."""
    kept = kept_snapshots(load_settings(snapshot_url=snapshot_url))
    if as_json:
        for one in kept:
            click.echo(json.dumps(one.as_json()))
        return
    table = Table()
    for name in ("id", "topic", "partition", "offset", "created (UTC)", "MiB", "memory", "rules"):
        table.add_column(
            name, justify="right" if name in ("partition", "offset", "MiB") else "left"
        )
    for one in kept:
        told = one.as_json()
        table.add_row(
            one.id,
            f"{told['topic']} {told['topic_id']}",
            str(told["partition"]),
            f"{told['offset']:,}",
            one.created,
            f"{told['size_bytes'] / (1 << 20):,.1f}",
            told["memory"] or "none",
            told["rules"],
        )
    Console().print(table)


@snapshot.command()
@click.argument("ids", nargs=-1)
@_URL
@_JSON
def verify(ids: tuple[str, ...], snapshot_url: str | None, as_json: bool) -> None:
    """Check snapshots (all, or those named): each file, and what the opened copy says.

    Each is fetched as a worker that starts from it would. Exit status 1 when one is not intact.
    """
    settings = load_settings(snapshot_url=snapshot_url)
    target, found = snapshot_target(settings), chosen_snapshots(kept_snapshots(settings), ids)
    n_broken = 0
    for one in track(found, "verifying", console=Console(stderr=True), transient=True):
        trouble = _trouble(target, one)
        n_broken += bool(trouble)
        if as_json:
            click.echo(json.dumps({"id": one.id, "intact": not trouble, "why": trouble or None}))
        else:
            identity = one.manifest.meta.identity
            place = f"partition {identity.partition}, offset {one.manifest.meta.watermark:,}"
            click.echo(f"{one.id}  {place}: {trouble or 'intact'}")
    if not as_json:
        click.echo(f"{len(found) - n_broken} of {len(found)} intact")
    sys.exit(1 if n_broken else 0)


@snapshot.command()
@click.argument("ids", nargs=-1, required=True)
@_URL
@click.option("--state-dir", type=click.Path(path_type=Path),
              help="State directory of a worker that does not run.  [UIC_STATE_DIR]")  # fmt: skip
def restore(ids: tuple[str, ...], snapshot_url: str | None, state_dir: Path | None) -> None:
    """Put snapshots into a state directory, as the copies that its worker starts from.

    At most one a partition. What the directory holds of these partitions is set aside, not
    removed. The worker goes on at the offset of the snapshot.
    """
    settings = load_settings(snapshot_url=snapshot_url, state_dir=state_dir)
    target, found = snapshot_target(settings), chosen_snapshots(kept_snapshots(settings), ids)
    partitions = [one.manifest.meta.identity.partition for one in found]
    if len(set(partitions)) < len(partitions):
        raise ConfigurationError(
            "two of these snapshots are of the same partition", hint="name one a partition"
        )
    lock = StateLock(settings.states)
    try:
        for one in found:
            _restore(target, one, settings.states)
    finally:
        lock.release()


@snapshot.command()
@_URL
def prune(snapshot_url: str | None) -> None:
    """Remove old snapshots, as workers do after each of their own.

    A day's are kept, one a day for seven days, and the newest of each partition; files that no
    snapshot names go when they are older than a day.
    """
    settings = load_settings(snapshot_url=snapshot_url)
    kept = kept_snapshots(settings)
    assert settings.snapshots is not None
    now_ms = time.time_ns() // 1_000_000
    manifests = files = 0
    for identity in sorted({one.manifest.meta.identity for one in kept}, key=str):
        report = Snapshots(settings.snapshots, identity, StateConfig()).prune(now_ms)
        manifests, files = manifests + report.manifests, files + report.files
    click.echo(
        f"removed {manifests:,} snapshots and {files:,} files; {len(kept) - manifests:,} kept"
    )


def _trouble(target: SnapshotTarget, one: KeptSnapshot) -> str:
    """Fetch a snapshot to a place of no use; return what is wrong with it, empty if nothing."""
    with tempfile.TemporaryDirectory(prefix="uic-snapshot-") as folder:
        try:
            download(target, one.manifest, Path(folder) / "copy")
        except (OSError, InterestCenterError) as error:
            return str(error)
    return ""


def _restore(target: SnapshotTarget, one: KeptSnapshot, states: Path) -> None:
    files = PartitionFiles(states, one.manifest.meta.identity.partition)
    copy = files.new_copy()
    try:
        download(target, one.manifest, copy)
    except (OSError, InterestCenterError) as error:
        raise ConfigurationError(
            f"snapshot {one.id} cannot be restored: {error}", hint="choose another one"
        ) from error
    # In this order a crash between the two steps loses nothing.
    old = files.current()
    aside = None if old is None else files.set_aside(old)
    files.make_current(copy)
    place = f"partition {one.manifest.meta.identity.partition}"
    click.echo(f"{place}: {one.id}, offset {one.manifest.meta.watermark:,}, is in {copy}")
    if aside is not None:
        click.echo(f"{place}: what was there is now in {aside}")
