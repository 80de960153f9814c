"""Line 1: the two commands of the README end well, and three clicks move a ranking.

Every clicking shopper has a control: another user with the same events and without the clicks.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import polars as pl
from kafka import KafkaProducer

from prove.logs import Event
from prove.reading import Connection, interest_path
from prove.rows import Bench, Check, equal, figure
from prove.sending import good, send_plain
from prove.system import Process, System, SystemFailedError
from prove.verification import EVENTS_TOPIC, wait_caught_up

ROOT = Path(__file__).resolve().parents[3]
N_SHOPPERS, MIN_RAISED = 100, 80
WORLD_USERS = 1_000
N_CLICKS = 3
N_CANDIDATES, N_OF_CATEGORY = 100, 5
CONTROL = "-control"
COMMAND_SECONDS = 3_000.0
VISIBLE_SECONDS = 30.0
#: What a make tells the makes below it; the verbs are run as by a person.
OF_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"}


@dataclass(frozen=True)
class Shopper:
    """One shopper, the category to click in, and what is ranked.

    Attributes:
        user_id: The shopper; the control has the same id with a suffix.
        category_id: Clicked here; one that the shopper has rarely visited.
        clicked: Items of the clicks, none of them a candidate.
        candidates: Some of that category, the rest of others.
    """

    user_id: str
    category_id: str
    clicked: list[str]
    candidates: list[dict[str, str]]


def prove(bench: Bench) -> Iterator[Check]:
    """Run the clicks, then the demo and the tests as a user does."""
    yield from clicks_move_rankings(bench)
    yield from demo_ends_well(bench)
    yield from tests_end_well(bench)


def make(verb: str, bench: Bench, *arguments: str) -> tuple[int, str]:
    """Run a verb of the Makefile in the tree, with a home of its own, to its end.

    Returns:
        Exit status and what it printed.
    """
    bench.say(f"make {verb}")
    with System(home_of(verb, bench)) as system:
        environment = {k: v for k, v in system.environment().items() if k not in OF_MAKE}
        log = system.logs / "make.log"
        process = Process(f"make {verb}", ["make", verb, *arguments], environment, log, cwd=ROOT)
        system.processes.append(process)
        return process.wait(COMMAND_SECONDS), process.said()


def home_of(verb: str, bench: Bench) -> Path:
    """Return the home of a verb's run."""
    return bench.workspace / f"home-{verb}"


def left_behind(home: Path) -> list[str]:
    """Return the living processes whose environment or command names a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            about = entry.joinpath("cmdline").read_bytes() + entry.joinpath("environ").read_bytes()
        except OSError:
            continue
        if str(home).encode() in about and entry.name != str(os.getpid()):
            found.append(entry.name)
    return found


def demo_ends_well(bench: Bench) -> Iterator[Check]:
    """Run `make demo` away from a terminal."""
    status, printed = make("demo", bench)
    yield equal("make demo: exit status", status, 0)
    told = [line.strip() for line in printed.splitlines() if " ms" in line]
    yield figure("what it printed", " ".join(told))
    yield equal("processes that it left behind", left_behind(home_of("demo", bench)), [])


def tests_end_well(bench: Bench) -> Iterator[Check]:
    """Run `make test`, and count what ran on a real Kafka."""
    report = bench.workspace / "tests.xml"
    status, _ = make("test", bench, f"ARGS=-q --junitxml={report}")
    yield equal("make test: exit status", status, 0)
    cases = list(ElementTree.parse(report).iter("testcase"))
    integration = [case for case in cases if ".integration." in f".{case.get('classname')}."]
    skipped = sum(case.find("skipped") is not None for case in cases)
    yield Check(
        "tests",
        f"{len(cases)}, {len(integration)} of them integration tests, {skipped} skipped",
        "none skipped, integration tests among them",
        bool(integration) and not skipped,
    )
    yield equal("processes that they left behind", left_behind(home_of("test", bench)), [])


def clicks_move_rankings(bench: Bench) -> Iterator[Check]:
    """Let each shopper click three times and compare the ranking with the control's."""
    world = bench.workspace / "world"
    with System(bench.workspace / "system", rank_deadline_ms=1_000) as system:
        bench.say("simulating shoppers and training a model on them")
        seed = ("--seed", str(bench.seed), "--users", str(WORLD_USERS))
        system.run("simulate", *seed, "--out", str(world))
        tables = ("--events", f"{world}/events.parquet", "--samples", f"{world}/samples.parquet")
        bundle = bench.workspace / "bundle"
        system.run("train", *tables, "--out", str(bundle))
        events = pl.read_parquet(world / "events.parquet")
        shoppers = choose_shoppers(bench.rng(1), events)
        system.start_broker()
        worker = system.start_worker(bundle=bundle)
        send_plain(
            system.bootstrap, EVENTS_TOPIC, (good(e) for e in with_controls(events, shoppers))
        )
        wait_caught_up(system, [worker])
        ranker = system.start_ranker(bundle=bundle, worker_urls=worker.url)
        ranker.wait_ready()
        now_ms = int(events["event_time_ms"].max()) + 60_000  # type: ignore[arg-type]
        run = Clicks(system.bootstrap, worker.url, ranker.url, now_ms)
        try:
            for number, shopper in enumerate(shoppers):
                bench.say(f"shopper {number + 1} of {len(shoppers)}")
                run.click(shopper)
        finally:
            run.close()
    yield from run.told()


def choose_shoppers(rng: np.random.Generator, events: pl.DataFrame) -> list[Shopper]:
    """Choose shoppers with a history, and for each a category rarely visited."""
    items = events.unique("item_id").select("item_id", "category_id").sort("item_id")
    by_category = {
        str(name[0]): own["item_id"].to_list() for name, own in items.group_by("category_id")
    }
    visits: dict[str, dict[str, int]] = {}
    counted = events.group_by("user_id", "category_id").len()
    for user, category, count in counted.iter_rows():
        visits.setdefault(user, {})[category] = count
    users = sorted(user for user, own in visits.items() if sum(own.values()) >= 30)
    chosen = rng.choice(users, N_SHOPPERS, replace=False).tolist()
    return [shopper_of(rng, user, visits[user], by_category) for user in chosen]


def shopper_of(
    rng: np.random.Generator, user: str, visits: dict[str, int], by_category: dict[str, list[str]]
) -> Shopper:
    """Choose category, clicks and candidates of one shopper."""
    large = sorted(c for c, own in by_category.items() if len(own) >= N_OF_CATEGORY + N_CLICKS)
    category = min(large, key=lambda name: (visits.get(name, 0), rng.random()))
    own = rng.permutation(by_category[category]).tolist()
    others = [(i, c) for c, items in by_category.items() if c != category for i in items]
    places = rng.choice(len(others), N_CANDIDATES - N_OF_CATEGORY, replace=False)
    pairs = [(item, category) for item in own[:N_OF_CATEGORY]] + [others[at] for at in places]
    candidates = [{"item_id": str(i), "category_id": str(c)} for i, c in pairs]
    return Shopper(user, category, own[N_OF_CATEGORY : N_OF_CATEGORY + N_CLICKS], candidates)


def with_controls(events: pl.DataFrame, shoppers: Sequence[Shopper]) -> Iterator[Event]:
    """Yield the events of the shoppers in order of time, each followed by the control's own."""
    users = [shopper.user_id for shopper in shoppers]
    for event in events.filter(pl.col("user_id").is_in(users)).iter_rows(named=True):
        yield event
        yield {**event, "user_id": event["user_id"] + CONTROL}


class Clicks:
    """Pushes the clicks of one shopper after the other and watches state and ranking."""

    def __init__(self, bootstrap: str, worker: str, ranker: str, now_ms: int) -> None:
        self.producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=0)
        self.states, self.rankings = Connection(worker), Connection(ranker)
        self.now_ms = now_ms
        self.raised: list[bool] = []
        self.moved: list[float] = []
        self.same_before: list[bool] = []
        self.visible_ms: list[float] = []
        self.changed_ms: list[float] = []

    def click(self, shopper: Shopper) -> None:
        """Click three times; note times, and whether the category's items are now higher.

        Raises:
            SystemFailedError: State or ranking did not change in time.
        """
        before = self._ranking(shopper.user_id, shopper)
        self.same_before.append(before == self._ranking(shopper.user_id + CONTROL, shopper))
        path = interest_path(shopper.user_id)
        count = self.states.get(path)["event_count"]
        pushed = time.perf_counter()
        for number, item in enumerate(shopper.clicked):
            message = good(self._click(shopper, number, item))
            self.producer.send(EVENTS_TOPIC, key=message.key, value=message.value)
        self.producer.flush()
        deadline = pushed + VISIBLE_SECONDS
        while self.states.get(path)["event_count"] < count + N_CLICKS:
            if time.perf_counter() > deadline:
                raise SystemFailedError(f"clicks of {shopper.user_id} are not visible")
        self.visible_ms.append((time.perf_counter() - pushed) * 1000)
        after = self._ranking(shopper.user_id, shopper)
        if after == before:
            raise SystemFailedError(f"the ranking of {shopper.user_id} did not change")
        self.changed_ms.append((time.perf_counter() - pushed) * 1000)
        control = self._ranking(shopper.user_id + CONTROL, shopper)
        place, control_place = (self._mean_place(shopper, r) for r in (after, control))
        self.raised.append(place < control_place)
        self.moved.append(control_place - place)

    def close(self) -> None:
        """Disconnect."""
        self.producer.close()
        self.states.close()
        self.rankings.close()

    def _click(self, shopper: Shopper, number: int, item: str) -> Event:
        return {
            "event_id": f"click-{number}",
            "user_id": shopper.user_id,
            "item_id": item,
            "category_id": shopper.category_id,
            "event_type": "click",
            "event_time_ms": self.now_ms + number,
        }

    def _ranking(self, user_id: str, shopper: Shopper) -> list[dict[str, Any]]:
        """Return the ranked items; both users are asked at the same time of the world."""
        body = {
            "user_id": user_id,
            "candidates": shopper.candidates,
            "time_ms": self.now_ms + N_CLICKS,
        }
        answer = self.rankings.post("/v1/rank", body)
        if answer["degraded"] is not None:
            raise SystemFailedError(f"a ranking of {user_id} is degraded: {answer['degraded']}")
        items: list[dict[str, Any]] = answer["items"]
        return items

    @staticmethod
    def _mean_place(shopper: Shopper, ranking: list[dict[str, Any]]) -> float:
        """Return the mean place of the candidates of the clicked category."""
        ours = {c["item_id"] for c in shopper.candidates if c["category_id"] == shopper.category_id}
        return float(np.mean([at for at, one in enumerate(ranking, 1) if one["item_id"] in ours]))

    def told(self) -> Iterator[Check]:
        """Tell how many rankings moved, how far, and how soon."""
        yield equal("controls ranked alike before", sum(self.same_before), N_SHOPPERS)
        yield Check(
            "shoppers whose clicked category stands higher than in the control's ranking",
            f"{sum(self.raised)} of {len(self.raised)}, by {np.mean(self.moved):.1f} places of "
            f"{N_CANDIDATES} on average",
            f"at least {MIN_RAISED}",
            sum(self.raised) >= MIN_RAISED,
        )
        for what, times in (
            ("first push to visible state", self.visible_ms),
            ("first push to changed ranking", self.changed_ms),
        ):
            p50, p99 = np.percentile(times, [50, 99])
            yield figure(what, f"p50 {p50:.0f} ms, p99 {p99:.0f} ms")
