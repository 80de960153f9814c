"""``uic simulate``: a world whose click probability is known, as tables to train and test on."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from interest_center.core.errors import ConfigurationError
from models.count_baseline import CountBaseline
from models.ctr_metrics import auc
from models.durations import DAY_MS
from models.shopper_history import sums_of
from models.shopper_world import CATEGORY_NAMES, EVENT_TYPES, NO_ITEM, Impressions, Ints, World
from models.shoppers import ShopperConfig, Shoppers, Walk, user_id
from models.tables import SPLITS

SPLIT_EDGES = (0.8, 0.9)
AUDITED_SAMPLES = 20_000
AUDITED_BEHAVIORS = (100, 20)


@dataclass(frozen=True)
class Simulation:
    """A finished walk, cut into splits by time."""

    walk: Walk
    config: ShopperConfig
    split: NDArray[np.int64]

    def events_table(self) -> pl.DataFrame:
        """Return the events in the canonical columns, in time order."""
        events, world = self.walk.events, self.walk.world
        users = np.array([user_id(n) for n in range(int(events["shopper"].max()) + 1)])
        user = pl.Series(users[events["shopper"]])
        return pl.DataFrame(
            {
                "event_id": pl.select(
                    pl.format("s{}-{}-{}", pl.lit(world.seed), user, pl.Series(events["number"]))
                ).to_series(),
                "user_id": user,
                "item_id": _texts(world.item_ids, events["item"]),
                "category_id": _texts(CATEGORY_NAMES, events["category"]),
                "event_type": _texts(EVENT_TYPES, events["type"]),
                "event_time_ms": events["time_ms"],
                "page": _page(events["page"]),
                "trigger_item_id": _texts(world.item_ids, events["trigger"]),
                "price": world.item_price[events["item"]],
            }
        )

    def samples_table(self) -> pl.DataFrame:
        """Return the samples in the canonical columns plus ``probability``, in time order."""
        samples, world = self.walk.samples, self.walk.world
        users = [user_id(n) for n in range(int(samples["shopper"].max()) + 1)]
        trigger = samples["trigger"]
        trigger_category = np.where(trigger == NO_ITEM, NO_ITEM, world.item_category[trigger])
        return pl.DataFrame(
            {
                "user_id": _texts(users, samples["shopper"]),
                "item_id": _texts(world.item_ids, samples["item"]),
                "category_id": _texts(CATEGORY_NAMES, samples["category"]),
                "time_ms": samples["time_ms"],
                "label": samples["label"].astype(np.int8),
                "split": _texts(SPLITS, self.split),
                "trigger_item_id": _texts(world.item_ids, trigger),
                "trigger_category_id": _texts(CATEGORY_NAMES, trigger_category),
                "page": _page(samples["page"]),
                "probability": self.walk.probability,
            }
        )

    def figures(self) -> dict[str, Any]:
        """Return how well the world can be known: oracle, count baseline, shortened histories."""
        samples = self.walk.samples
        label, probability = samples["label"], self.walk.probability
        counted = CountBaseline().fit_score(
            samples["shopper"], samples["item"], samples["category"], label, self.split == 0
        )
        splits = {}
        for code, name in enumerate(SPLITS):
            rows = self.split == code
            splits[name] = {
                "n": int(rows.sum()),
                "positive_rate": float(label[rows].mean()),
                "oracle_auc": auc(label[rows], probability[rows]),
                "count_baseline_auc": auc(label[rows], counted[rows]),
            }
        test = np.flatnonzero(self.split == 2)
        some = np.sort(np.random.default_rng(0).permutation(test)[:AUDITED_SAMPLES])
        cut = {
            str(n): auc(label[some], probability_with_last(self.walk, some, n))
            for n in AUDITED_BEHAVIORS
        }
        return {
            "n_events": len(self.walk.events["item"]),
            "splits": splits,
            "audited_test_samples": len(some),
            "oracle_auc_audited": auc(label[some], probability[some]),
            "oracle_auc_by_last_behaviors": cut,
        }


def simulate_walk(seed: int, n_shoppers: int, days: float, progress: bool = False) -> Simulation:
    """Make a world and let its shoppers walk.

    Args:
        seed: Seeds world and shoppers.
        n_shoppers: How many.
        days: Length of the log; samples begin half-way.
        progress: Show a progress bar on standard error.
    """
    config = ShopperConfig(days=days)
    shoppers = Shoppers(World(seed), seed, n_shoppers, config)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task("shoppers walk", total=shoppers.max_steps)
        walk = shoppers.walk(lambda: bar.advance(task))
    edges = [config.start_ms + int(edge * days * DAY_MS) for edge in SPLIT_EDGES]
    split = np.searchsorted(edges, walk.samples["time_ms"], side="right")
    return Simulation(walk, config, split)


def probability_with_last(walk: Walk, rows: Ints, n_behaviors: int) -> NDArray[np.float64]:
    """Return the formula's probability of samples when only the newest behaviors are known.

    Args:
        walk: Events and samples.
        rows: Which samples, ``[n]``.
        n_behaviors: How many events before each sample are read; older ones are left out.
    """
    events, samples, world = walk.events, walk.samples, walk.world
    order = np.argsort(events["shopper"], kind="stable")
    shopper, time = events["shopper"][order], events["time_ms"][order]
    category, kind = events["category"][order], events["type"][order]
    begins = np.searchsorted(shopper, samples["shopper"][rows])
    ends = np.searchsorted(shopper, samples["shopper"][rows], side="right")
    slices = []
    for begin, end, time_ms in zip(begins, ends, samples["time_ms"][rows], strict=True):
        until = begin + int(np.searchsorted(time[begin:end], time_ms))
        slices.append(slice(max(begin, until - n_behaviors), until))
    last = np.array([time[s.stop - 1] if s.stop > s.start else -1 for s in slices])
    histories = [(category[s], kind[s]) for s in slices]
    sums = sums_of(histories, last, world.n_categories, world.config)
    shown = Impressions(
        samples["item"][rows, None],
        samples["time_ms"][rows],
        samples["page"][rows],
        samples["trigger"][rows],
    )
    return np.asarray(world.click_probability(sums, shown)[:, 0])


def _texts(names: tuple[str, ...] | list[str], codes: NDArray[Any]) -> pl.Series:
    """Return the text of each code, null for a negative one."""
    series = pl.Series(np.array(names)[codes])
    return series.set(pl.Series(codes < 0), None) if (codes < 0).any() else series


def _page(page: NDArray[Any]) -> pl.Series:
    """Return the page numbers, null where there was no page."""
    return pl.Series(page.astype(np.int32)).replace(0, None)


def write_simulation(simulation: Simulation, directory: Path, file_format: str) -> dict[str, Any]:
    """Write both tables and ``world.json``; return what the latter holds."""
    directory.mkdir(parents=True, exist_ok=True)
    tables = {"events": simulation.events_table(), "samples": simulation.samples_table()}
    for name, table in tables.items():
        path = directory / f"{name}.{file_format}"
        if file_format == "csv":
            table.write_csv(path)
        else:
            table.write_parquet(path)
    walk = simulation.walk
    world = {
        "seed": walk.world.seed,
        "n_users": len(np.unique(walk.events["shopper"])),
        "world": asdict(walk.world.config),
        "shoppers": asdict(simulation.config),
        **simulation.figures(),
    }
    (directory / "world.json").write_text(json.dumps(world, indent=2) + "\n")
    return world


def _summary(world: dict[str, Any]) -> Table:
    """Return the figures as a terminal table."""
    table = Table(title=f"world {world['seed']}: {world['n_events']:,} events")
    for head in ("split", "samples", "clicked", "oracle AUC", "count baseline AUC"):
        table.add_column(head, justify="left" if head == "split" else "right")
    for name, row in world["splits"].items():
        table.add_row(
            name,
            f"{row['n']:,}",
            f"{row['positive_rate']:.1%}",
            f"{row['oracle_auc']:.4f}",
            f"{row['count_baseline_auc']:.4f}",
        )
    return table


EPILOG = """\b
events.parquet   user_id, item_id, category_id, event_type, event_time_ms, ...
samples.parquet  user_id, item_id, category_id, time_ms, label, split, trigger,
                 page, probability (the oracle's; no model may read it)
world.json       all constants; oracle and count baseline AUC of each split

\b
Example:
  uic simulate --seed 7 --out sim7
  uic train --events sim7/events.parquet --samples sim7/samples.parquet --out bundle7
"""


@click.command("simulate", epilog=EPILOG)
@click.option("--seed", type=int, required=True, help="Seeds the world and its shoppers.")
@click.option("--users", default=2_000, show_default=True, help="How many shoppers.")
@click.option("--days", default=30.0, show_default=True, help="Length of the log in days.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory to write events, samples and world.json to.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "csv"]),
    default="parquet",
    show_default=True,
    help="Format of the two tables.",
)
def simulate(seed: int, users: int, days: float, out: Path, file_format: str) -> None:
    """Make simulated shoppers, whose click probability is known.

    Shoppers look, click and buy by interests that drift and come back. In the second half of the
    log they are shown pages of items, and each click is drawn from a known formula of their own
    earlier events. So the best reachable AUC (the oracle's) is known: compare `uic evaluate` with
    it, and with the count baseline, which only counts clicks.
    """
    if users < 1 or days <= 0:
        raise ConfigurationError(
            f"cannot simulate {users} users over {days:g} days", "give at least one and a time > 0"
        )
    simulation = simulate_walk(seed, users, days, progress=True)
    for code, name in enumerate(SPLITS):
        if len(np.unique(simulation.walk.samples["label"][simulation.split == code])) < 2:
            raise ConfigurationError(
                f"{users} users over {days:g} days leave no clicks or no samples for {name}",
                "give more --users or more --days",
            )
    world = write_simulation(simulation, out, file_format)
    console = Console()
    console.print(_summary(world))
    cuts = world["oracle_auc_by_last_behaviors"]
    told = ", ".join(f"{reached:.4f} from the last {n}" for n, reached in cuts.items())
    console.print(
        f"oracle on {world['audited_test_samples']:,} test samples: "
        f"{world['oracle_auc_audited']:.4f} from all behaviors, {told}"
    )
    console.print(f"written to {out}")
