"""``uic demo``: the whole system on this machine, each step explained in a sentence."""

import json
import secrets
import shutil
import signal
import sys
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

import click
import polars as pl
from rich.console import Console
from rich.table import Table

from interest_center.client import InterestClient
from interest_center.core.errors import InterestCenterError
from interest_center.settings import Settings, environment_of, load_settings
from models.bundle_files import FORMAT
from streams.interruption import end_by_interrupt
from streams.ports import choose_ports
from streams.processes import Processes
from streams.state_lock import StateLock

WORLD_SEED = 7
WORLD_USERS = 1000
N_SHOPPERS = 200
N_CANDIDATES = 100
N_CLICKS = 3
N_SHOWN = 8
POLL_SECONDS = 0.005
VISIBLE_SECONDS = 30.0


@dataclass(frozen=True)
class Shopper:
    """Whom the demo looks at: a simulated shopper, the candidates, and the category to click."""

    user_id: str
    candidates: list[dict[str, str]]
    category_id: str
    clicked_items: list[str]


@dataclass(frozen=True)
class Addresses:
    """Where the two services of the demo listen."""

    worker: str
    ranker: str


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send JSON and return the JSON of the answer."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


class Demo:
    """One run of the demo.

    Args:
        settings: Settings of the demo's own home, topics and ports.
        console: Where to explain.
        processes: Starts and ends the commands.
    """

    def __init__(self, settings: Settings, console: Console, processes: Processes) -> None:
        self._settings = settings
        self._console = console
        self._processes = processes
        self._addresses = Addresses(
            settings.advertised_url, f"http://{settings.ranker_host}:{settings.ranker_port}"
        )
        self._world = settings.home.parent / "demo-world" / f"seed{WORLD_SEED}-{WORLD_USERS}"
        self._step = 0
        # States of earlier runs, whose topics are gone.
        shutil.rmtree(settings.home / "runs", ignore_errors=True)

    def explain(self, title: str, sentence: str) -> None:
        """Print the heading of a step."""
        self._step += 1
        self._console.print(f"\n[bold cyan]{self._step}. {title}[/]  {sentence}")

    def prepare_bundle(self) -> None:
        """Simulate the shoppers and train the model, once; later runs find both."""
        self.explain(
            "A model",
            "simulated shoppers with drifting interests; DIN over recent behaviors and a MIMN "
            "memory of the older ones, trained on them (once, about six minutes on two cores).",
        )
        bundle = self._settings.bundle
        assert bundle is not None
        if not (self._world / "world.json").exists():
            self._processes.run(
                "simulate", "--seed", str(WORLD_SEED), "--users", str(WORLD_USERS),
                "--out", str(self._world),
            )  # fmt: skip
        events, samples = str(self._world / "events.parquet"), str(self._world / "samples.parquet")
        if not (bundle / "manifest.json").exists():
            self._processes.run(
                "train", "--events", events, "--samples", samples, "--model", "din+mimn",
                "--out", str(bundle),
            )  # fmt: skip
        self._processes.run(
            "evaluate", "--bundle", str(bundle), "--events", events, "--samples", samples,
            "--split", "test",
        )  # fmt: skip
        self._console.print(
            "   The oracle knows the true probabilities: nobody can do better. In a world of this "
            "size the 100\n   recent behaviors hold most of what can be known, so the memory gains "
            "little or nothing here."
        )

    def start_services(self) -> None:
        """Start broker, worker and ranker."""
        if not self._settings.kafka_bootstrap_servers:
            self.explain("Kafka", "a real Apache Kafka, one node, from Maven artifacts.")
            self._processes.run("broker", "reset", "--yes", quiet=True)
            self._processes.run("broker", "start")
        self._processes.run("topics", "create", quiet=True)
        self.explain(
            "Interest worker",
            "reads the events from Kafka and keeps each shopper's state in RocksDB.",
        )
        self._processes.start("worker", ready_url=f"{self._addresses.worker}/health/ready")
        self._console.print(f"   ready at {self._addresses.worker}")
        self.explain("Ranking worker", "reads states and scores candidates with the model.")
        self._processes.start("ranker", ready_url=f"{self._addresses.ranker}/health/ready")
        self._console.print(f"   ready at {self._addresses.ranker}")

    def stream_shoppers(self) -> pl.DataFrame:
        """Push the histories of some shoppers through the running system; return their events."""
        events = pl.read_parquet(self._world / "events.parquet")
        chosen = events["user_id"].unique().sort().head(N_SHOPPERS)
        events = events.filter(pl.col("user_id").is_in(chosen.implode()))
        self.explain(
            "Events", f"{len(events):,} behaviors of {N_SHOPPERS} shoppers, pushed to Kafka."
        )
        table = self._settings.home / "shoppers.parquet"
        events.write_parquet(table)
        self._processes.run("produce", str(table))
        return events

    def choose_shopper(self, events: pl.DataFrame) -> Shopper:
        """Take the shopper with the longest history, and a category that is rarely visited."""
        user_id = str(events["user_id"].value_counts(sort=True)["user_id"][0])
        items = (
            events.unique("item_id", keep="first", maintain_order=True)
            .select(pl.col("item_id").cast(pl.String), pl.col("category_id").cast(pl.String))
            .sort("item_id")
        )
        visits = events.filter(pl.col("user_id").cast(pl.String) == user_id)
        seen = visits["category_id"].cast(pl.String).value_counts()
        sizes = items["category_id"].value_counts(name="items").filter(pl.col("items") >= 8)
        rare = sizes.join(seen, on="category_id", how="left").fill_null(0)
        category_id = str(rare.sort("count", "category_id")["category_id"][0])
        own = items.filter(pl.col("category_id") == category_id)
        others = items.filter(pl.col("category_id") != category_id)
        shown = pl.concat(
            [own.head(5), others.sample(N_CANDIDATES - 5, seed=WORLD_SEED, shuffle=True)]
        )
        clicked = own["item_id"].to_list()[5 : 5 + N_CLICKS]
        return Shopper(user_id, shown.to_dicts(), category_id, clicked)

    def wait_for_state(self, shopper: Shopper, event_count: int) -> dict[str, Any]:
        """Poll the state until it holds so many events.

        Raises:
            InterestCenterError: It does not in time.
        """
        deadline = time.monotonic() + VISIBLE_SECONDS
        with InterestClient(self._settings) as client:
            while time.monotonic() < deadline:
                state = client.interest(shopper.user_id)
                if state["event_count"] >= event_count:
                    return state
                time.sleep(POLL_SECONDS)
        raise InterestCenterError(
            f"the state of {shopper.user_id} did not reach {event_count} events in "
            f"{VISIBLE_SECONDS:g} s"
        )

    def rank(self, shopper: Shopper, time_ms: int) -> dict[str, Any]:
        """Rank the candidates for the shopper."""
        body = {"user_id": shopper.user_id, "candidates": shopper.candidates, "time_ms": time_ms}
        return post(f"{self._addresses.ranker}/v1/rank", body)

    def show_ranking(self, shopper: Shopper, answer: dict[str, Any], title: str) -> float:
        """Print the best candidates; return the mean position of the clicked category."""
        categories = {c["item_id"]: c["category_id"] for c in shopper.candidates}
        table = Table("position", "item", "category", "probability", title=title)
        positions = []
        for position, item in enumerate(answer["items"], 1):
            category = categories[item["item_id"]]
            ours = category == shopper.category_id
            if ours:
                positions.append(position)
            if position <= N_SHOWN or ours:
                style = "bold green" if ours else ""
                table.add_row(
                    str(position), item["item_id"], category, f"{item['score']:.4f}", style=style
                )
        self._console.print(table)
        return sum(positions) / len(positions)

    def click_and_watch(self, shopper: Shopper, event_count: int) -> None:
        """Push the clicks; show the changed state and the changed ranking with their times."""
        now_ms = time.time_ns() // 1_000_000
        before = self.rank(shopper, now_ms)
        mean_before = self.show_ranking(shopper, before, "before the clicks")
        self.explain(
            "Three clicks",
            f"{shopper.user_id} clicks three items of category {shopper.category_id}.",
        )
        with InterestClient(self._settings) as client:
            client.interest(shopper.user_id)
            pushed = time.perf_counter()
            for number, item_id in enumerate(shopper.clicked_items):
                client.push(
                    event_id=f"demo-click-{now_ms}-{number}",
                    user_id=shopper.user_id,
                    item_id=item_id,
                    category_id=shopper.category_id,
                    event_type="click",
                    event_time_ms=now_ms + number,
                )
            client.flush()
        self.wait_for_state(shopper, event_count + len(shopper.clicked_items))
        visible = time.perf_counter()
        after = self.rank(shopper, now_ms)
        ranked = time.perf_counter()
        mean_after = self.show_ranking(shopper, after, "after the clicks")
        self._console.print(
            f"   The state held the clicks [bold]{(visible - pushed) * 1e3:.0f} ms[/] after the "
            f"first push, the new ranking was there after {(ranked - pushed) * 1e3:.0f} ms; the "
            f"category's items moved from mean position {mean_before:.1f} to {mean_after:.1f} "
            f"of {len(after['items'])}."
        )

    def show_how_to_go_on(self) -> None:
        """Print addresses and next commands."""
        home = self._settings.home
        self.explain("How to go on", "everything runs until you press Ctrl-C.")
        exports = (
            f"export UIC_HOME={home} UIC_EVENTS_TOPIC={self._settings.events_topic} "
            f"UIC_WORKER_URLS={self._addresses.worker}"
        )
        self._console.print(
            f"   API pages    {self._addresses.worker}/schema   {self._addresses.ranker}/schema\n"
            f"   metrics      {self._addresses.worker}/metrics   "
            f"{self._addresses.ranker}/metrics\n"
            f"   logs         {home / 'logs'}\n"
            f"   in another terminal:\n      {exports}\n"
            "      .venv/bin/uic state shopper-17\n      .venv/bin/uic lag",
            soft_wrap=True,
        )

    def run(self) -> None:
        """Run all steps."""
        self.prepare_bundle()
        self.start_services()
        events = self.stream_shoppers()
        shopper = self.choose_shopper(events)
        n_events = int(events["user_id"].cast(pl.String).eq(shopper.user_id).sum())
        self.wait_for_state(shopper, n_events)
        self.explain("A state", f"what the center knows of {shopper.user_id} at this moment.")
        self._processes.run("state", shopper.user_id, "--url", self._addresses.worker)
        self.explain(
            "A ranking",
            f"{len(shopper.candidates)} candidates for {shopper.user_id}; green: a category "
            "rarely visited so far.",
        )
        self.click_and_watch(shopper, n_events)
        self.explain("The lag", "how far the states are behind the events, in events and seconds.")
        self._processes.run("lag", "--once")


def demo_settings(settings: Settings) -> Settings:
    """Return settings of a run of its own: home, topics and free ports."""
    home = settings.home.absolute() / "demo"
    run = secrets.token_hex(3)
    worker_port, ranker_port = choose_ports(settings.worker_port, settings.ranker_port)
    return load_settings(
        home=home,
        events_topic=f"uic-demo-{run}-events",
        dead_letters_topic=f"uic-demo-{run}-dead-letters",
        group=f"uic-demo-{run}",
        state_dir=home / "runs" / run / "state",
        snapshot_url="off",
        worker_port=worker_port,
        worker_urls=f"http://{settings.worker_host}:{worker_port}",
        ranker_port=ranker_port,
        bundle=home / "bundles" / f"seed{WORLD_SEED}-{WORLD_USERS}-format{FORMAT}",
    )


@click.command()
@click.option("--keep/--no-keep", default=None, help="Keep running at the end until Ctrl-C.")
def demo(keep: bool | None) -> None:
    """Run the whole system on this machine: Kafka, worker, ranker, simulated shoppers.

    Shows a shopper's state and a ranking, pushes three clicks, and shows how state and ranking
    change some milliseconds later. Ends by itself when not at a terminal; else at Ctrl-C. Stops
    everything that it started. Its files are in UIC_HOME/demo.
    """
    console = Console()
    settings = demo_settings(load_settings())
    stay = sys.stdout.isatty() if keep is None else keep
    lock = StateLock(settings.home, "demo", "wait for its end, or UIC_HOME=elsewhere uic demo")
    end_by_interrupt()
    with Processes(environment_of(settings), settings.home / "logs") as processes:
        run = Demo(settings, console, processes)
        try:
            run.run()
            if stay:
                run.show_how_to_go_on()
                signal.pause()
        except KeyboardInterrupt:
            console.print("\nstopping")
        finally:
            processes.stop()
            if not settings.kafka_bootstrap_servers:
                processes.run("broker", "stop", quiet=True)
    lock.release()
    console.print("everything that the demo started has ended")
