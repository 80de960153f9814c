"""``uic plan``: what so many users and events need, as a table or as JSON."""

import json
import tempfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from interest_center.core.layout import StateConfig, load_state_config
from interest_center.core.protocols import MemoryUpdater
from interest_center.settings import load_settings
from models.bundle import load_state_rules, load_updater, load_vocabulary, untrained_bundle
from models.ctr_config import default_config
from streams.planning.capacity import MIB, Assumptions, Demand, Plan, plan
from streams.planning.user_weight import (
    EVENT_GAP_MS,
    N_CATEGORIES,
    simulated_shop,
    weigh_users,
)

_FACTORS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9}
_SIZES = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


#: Said when a snapshot is always a full one.
EVERYTHING_CHANGES = (
    "Between two snapshots compactions rewrite everything, so each is a full one: a longer "
    "UIC_SNAPSHOT_INTERVAL_SECONDS costs a longer replay and saves uploads and space."
)


class Amount(click.ParamType):
    """A number of things: 600M, 1.5k, 1000000."""

    name = "amount"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        if isinstance(value, float):
            return value
        text = str(value).strip().replace(",", "").replace("_", "")
        unit = text[-1:] if text[-1:].isalpha() else ""
        try:
            number = float(text.removesuffix(unit)) * _FACTORS[unit if unit != "K" else "k"]
        except (ValueError, KeyError):
            self.fail(f"{value!r} is no amount: write 600M, 20k or 1500", param, ctx)
        if not 1 <= number <= 1e15:
            self.fail(f"{value!r} is not between 1 and 10^15", param, ctx)
        return number


@click.command("plan")
@click.option("--users", type=Amount(), required=True, help="With a state, for example 600M.")
@click.option("--events-per-second", type=Amount(), required=True,
              help="At the busiest hour, for example 1M.")  # fmt: skip
@click.option("--events-per-user", type=click.IntRange(1, 10_000), default=100, show_default=True,
              help="That a user's state has seen, on average.")  # fmt: skip
@click.option("--categories-per-user", type=click.IntRange(1, 1_000), default=10,
              show_default=True, help="That a user has behaviors in.")  # fmt: skip
@click.option("--event-bytes", type=click.IntRange(1), default=200, show_default=True,
              help="Of one event in Kafka, key included.")  # fmt: skip
@click.option("--bundle", type=click.Path(path_type=Path), help="Whose memory is kept, and under "
              "whose rules.  [UIC_BUNDLE]")  # fmt: skip
@click.option("--model", default="din+mimn", show_default=True,
              help="Without a bundle: whose memory is kept, in its default size.")  # fmt: skip
@click.option("--replication", type=click.IntRange(1, 9), default=3, show_default=True,
              help="Of the events topic.")  # fmt: skip
@click.option("--retention-days", type=click.FloatRange(0.01), default=7.0, show_default=True,
              help="Of the events topic.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def plan_command(
    events_per_user: int,
    categories_per_user: int,
    bundle: Path | None,
    model: str,
    as_json: bool,
    **asked: Any,
) -> None:
    """How many workers, how much memory, disk, snapshot and Kafka traffic a site needs.

    Simulated users are played through the engine into a RocksDB, and weighed; the rest is the
    capacity formula of docs/engine.md, with the assumptions that are printed. Snapshot interval,
    hot memory and standbys are those of the settings (UIC_SNAPSHOT_INTERVAL_SECONDS,
    UIC_HOT_MEMORY_MIB, UIC_STANDBY_REPLICAS). Measure your own events and machines with
    `uic bench engine`.
    """
    settings = load_settings(bundle=bundle)
    with Console(stderr=True).status("weighing simulated users; the first time, loops compile"):
        config, updater, items = _rules(settings.bundle, settings.state_config, model)
        weight = weigh_users(config, updater, items, events_per_user, categories_per_user)
    demand = Demand(
        **asked,
        standbys=settings.standby_replicas,
        snapshot_interval_seconds=settings.snapshot_interval_seconds,
        hot_memory_bytes=settings.hot_memory_mib * MIB,
    )
    assumed = Assumptions()
    needed = plan(demand, weight, assumed)
    if as_json:
        told = {"user": asdict(weight) | {"total": weight.total}, "plan": asdict(needed)}
        click.echo(json.dumps(told | {"demand": asdict(demand), "assumptions": asdict(assumed)}))
        return
    console = Console()
    console.print(_plan_table(needed, demand))
    console.print(_user_table(asdict(weight), weight.total, events_per_user))
    console.print(_assumptions(demand, assumed, categories_per_user, int(items.max())))
    if needed.snapshots.upload_bytes >= needed.snapshots.full_bytes:
        console.print(EVERYTHING_CHANGES)


def _rules(
    bundle: Path | None, state_config: Path | None, model: str
) -> tuple[StateConfig, MemoryUpdater | None, NDArray[np.uint64]]:
    """Return the rules of the states, what keeps the memories, and the items that it knows."""
    if bundle is not None:
        return load_state_rules(bundle), load_updater(bundle), load_vocabulary(bundle).items
    config, shop = load_state_config(state_config), simulated_shop()
    if default_config(model, n_types=len(config.event_types)).memory is None:
        return config, None, shop.items
    with tempfile.TemporaryDirectory() as untrained:
        untrained_bundle(Path(untrained), model, vocabulary=shop, state=config)
        return config, load_updater(Path(untrained)), shop.items


def size(n_bytes: float) -> str:
    """Return bytes as people say them."""
    factor, unit = next((pair for pair in _SIZES if n_bytes >= pair[0]), _SIZES[-1])
    return f"{n_bytes / factor:,.3g} {unit}"


def _plan_table(needed: Plan, demand: Demand) -> Table:
    title = f"{demand.users:,.0f} users, {demand.events_per_second:,.0f} events a second"
    table = Table("", "", title=title, show_header=False)
    table.columns[1].justify = "right"
    worker, snapshots, kafka = needed.worker, needed.snapshots, needed.kafka
    rows: tuple[tuple[str, str] | None, ...] = (
        ("workers (processes on two cores)", f"{needed.workers:,} (bound by {needed.bound_by})"),
        ("partitions of the events topic", f"{needed.partitions:,}"),
        ("states on disk, all users", size(needed.state_bytes)),
        None,
        ("an event: CPU time of its worker", f"{needed.event.cpu_us:.1f} us"),
        ("an event: bytes of records in checkpoints", size(needed.event.record_bytes)),
        ("an event: bytes written to the disk", size(needed.event.disk_bytes)),
        None,
        ("a worker: memory", size(worker.memory_bytes)),
        ("a worker: disk", size(worker.disk_bytes)),
        ("a worker: disk writes", f"{size(worker.disk_write_bytes_per_second)}/s"),
        ("a worker: network", f"{size(worker.network_bytes_per_second)}/s"),
        ("a worker without its disk: level after", f"{needed.recovery_seconds / 60:,.0f} min"),
        None,
        ("snapshots: a first one", size(snapshots.full_bytes)),
        ("snapshots: each later one, at most", size(snapshots.upload_bytes)),
        ("snapshots: upload of all workers", f"{size(snapshots.upload_bytes_per_second)}/s"),
        ("snapshots: kept, at most", size(snapshots.kept_bytes)),
        None,
        ("Kafka: in, with replicas", f"{size(kafka.in_bytes_per_second)}/s"),
        ("Kafka: out to the workers", f"{size(kafka.out_bytes_per_second)}/s"),
        ("Kafka: kept", size(kafka.kept_bytes)),
    )  # fmt: skip
    for row in rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*row)
    return table


def _user_table(weight: dict[str, float], total: float, n_events: int) -> Table:
    table = Table("", "", title=f"A user with {n_events:,} events, bytes", show_header=False)
    table.columns[1].justify = "right"
    for name, value in (weight | {"all records": total}).items():
        table.add_row(name.replace("_", " "), f"{value:,.0f}")
    return table


def _assumptions(
    demand: Demand, assumed: Assumptions, n_categories: int, largest_item: int
) -> Table:
    table = Table("", "", title="Assumed", show_header=False)
    table.columns[1].justify = "right"
    table.add_row("events over users", "all users alike (the worst case)")
    table.add_row("ids", f"items up to {largest_item:,}, {N_CATEGORIES:,} categories")
    table.add_row("categories of a user", f"{n_categories}")
    table.add_row("between two events of a user", f"{EVENT_GAP_MS / 3.6e6:g} h")
    for name in ("event_bytes", "replication", "retention_days", "standbys",
                 "snapshot_interval_seconds"):  # fmt: skip
        table.add_row(name.replace("_", " "), f"{getattr(demand, name):g}")
    for one in fields(assumed):
        value = getattr(assumed, one.name)
        shown = size(value) if "bytes" in one.name else f"{value:g}"
        table.add_row(one.name.replace("_", " "), shown)
    return table
