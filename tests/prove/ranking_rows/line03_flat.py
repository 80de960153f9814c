"""Line 3: a request costs the same however long the past is, and the memory does carry the past."""

import json
import statistics
import time
from collections.abc import Iterator

import numpy as np
import torch

from interest_center.core.layout import StateConfig
from models.ctr_model import CtrModel
from models.inputs import RankInputs
from models.ranker import Ranker
from models.recipe import Recipe
from models.registry import load_class, memory_model
from models.vocabulary import Vocabulary
from prove.benches import spread
from prove.models_rows.line02_movielens import movielens_tables
from prove.models_rows.line03_memory import LIKED, difference, interval_text
from prove.reading import Connection
from prove.recipes import recipes
from prove.rows import Bench, Check, figure
from prove.sending import Message, send_plain
from prove.system import System, SystemFailedError
from prove.trainings import Trainings, by_label, with_seeds
from prove.verification import EVENTS_TOPIC, wait_caught_up
from streams.bench.workload import N_CATEGORIES, N_ITEMS, Workload

PASTS = (100, 1_000, 10_000)
N_USERS, N_PARTITIONS, N_CANDIDATES = 30, 4, 100
ROUNDS, RUNS = 10, 3
MOST = 1.1
#: A reader with a memory, and the same reader alone.
PAIRS = {"DIN+MIMN": "DIN", "DIN+MIMN of 5": "DIN of 5"}
#: The paper's table (MIMN, 2019, 5.4): a model and how many behaviors it reads.
READERS = (("dien", 150), ("dien", 1_000), ("din+mimn", 100), ("dien+mimn", 150))
TIMED = 30


def prove(bench: Bench) -> Iterator[Check]:
    """Time requests of users with different pasts, weigh the memory, time the paper's table."""
    yield from flat(bench)
    yield from table_of_the_paper()
    yield from carried(bench)


def flat(bench: Bench) -> Iterator[Check]:
    """Ask for users who did little, more and much, in turn."""
    load = Workload("mimn", "uniform", 1, 1, N_PARTITIONS, bench.seed)
    settings = {**load.prepare(bench.workspace / "model"), "partitions": N_PARTITIONS}
    times: dict[int, list[float]] = {past: [] for past in PASTS}
    with System(bench.workspace / "system", **settings) as system:
        system.start_broker()
        bench.say("users with a past")
        send_plain(system.bootstrap, EVENTS_TOPIC, list(pasts(bench.rng(3))))
        worker = system.start_worker()
        worker.wait_ready()
        wait_caught_up(system, [worker])
        ranker = system.start_ranker(worker_urls=worker.url)
        ranker.wait_ready()
        connection = Connection(ranker.url)
        for run in range(RUNS + 1):
            found = one_run(connection, bench.rng(3, run))
            if run:  # The first one warms everything up.
                for past in PASTS:
                    times[past].append(statistics.median(found[past]))
        connection.close()
    for past in PASTS:
        yield figure(f"{past:,} past events: a request over HTTP, ms", spread(times[past], ".2f"))
    least = min(statistics.median(each) for each in times.values())
    most = max(statistics.median(each) for each in times.values())
    yield Check(
        "longest of these over the shortest", f"{most / least:.2f}", f"at most {MOST:g}",
        most / least <= MOST,
    )  # fmt: skip


def name_of(past: int, number: int) -> str:
    """Return a user."""
    return f"user-{past}-{number}"


def pasts(rng: np.random.Generator) -> Iterator[Message]:
    """Yield the events of all users."""
    now = time.time_ns() // 1_000_000
    for past in PASTS:
        for number in range(N_USERS):
            user = name_of(past, number)
            items = rng.integers(1, N_ITEMS + 1, past).tolist()
            for place, item in enumerate(items):
                event = {
                    "event_id": f"{user}-{place}",
                    "user_id": user,
                    "item_id": str(item),
                    "category_id": str(item % 8 + 1),
                    "event_type": "click",
                    "event_time_ms": now - 1_000 * (past - place),
                }
                yield Message(user.encode(), json.dumps(event).encode(), user, event)


def one_run(connection: Connection, rng: np.random.Generator) -> dict[int, list[float]]:
    """Ask for every user several times; return milliseconds by past."""
    times: dict[int, list[float]] = {past: [] for past in PASTS}
    for _ in range(ROUNDS):
        for number in range(N_USERS):
            for past in PASTS:
                items = rng.choice(N_ITEMS, N_CANDIDATES, replace=False) + 1
                candidates = [{"item_id": str(item)} for item in items.tolist()]
                body = {"user_id": name_of(past, number), "candidates": candidates}
                text = json.dumps(body).encode()
                begun = time.perf_counter()
                status, answer = connection.call("POST", "/v1/rank", text)
                times[past].append(1e3 * (time.perf_counter() - begun))
                if status != 200 or b'"degraded":null,"history":"state"' not in answer:
                    raise SystemFailedError(f"not from the state: {status} {answer[-300:]!r}")
    return times


def table_of_the_paper() -> Iterator[Check]:
    """Time the model's part of a request as readers see more of the past, on one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name, n_behaviors in READERS:
        ranker, requests = timed_model(name, n_behaviors)
        runs = []
        for _ in range(RUNS):
            begun = time.perf_counter()
            for inputs in requests:
                ranker.score(inputs)
            runs.append(1e3 * (time.perf_counter() - begun) / len(requests))
        past = "all the past" if "+" in name else "nothing older"
        yield figure(
            f"{name} of {n_behaviors:,} behaviors, {past}: {N_CANDIDATES} candidates, ms",
            spread(runs, ".2f"),
        )
    torch.set_num_threads(threads)


def timed_model(name: str, n_behaviors: int) -> tuple[Ranker, list[RankInputs]]:
    """Return a model of random weights, and requests of different users."""
    items = np.arange(1, N_ITEMS + 1, dtype=np.uint64)
    vocabulary = Vocabulary.from_pairs(items, items % N_CATEGORIES + 1)
    state = StateConfig(n_behaviors=2 * n_behaviors)
    config, _ = Recipe(name, {"history_length": n_behaviors}).configs(state)
    ranker = Ranker(CtrModel(config, vocabulary.table_rows), vocabulary)
    row = None
    if config.memory is not None:
        model = memory_model(config.memory)
        sizes = load_class(model.config).from_dict(config.memory_config)
        tensors = {n: t.numpy() for n, t in ranker.model.state_dict().items()}
        row = load_class(model.updater)(sizes, vocabulary, tensors).initial_row()
    rng, now = np.random.default_rng(3), time.time_ns() // 1_000_000
    requests = []
    for _ in range(TIMED):
        done = rng.choice(items, n_behaviors)
        requests.append(
            RankInputs(
                behavior_items=done,
                behavior_categories=done % N_CATEGORIES + 1,
                behavior_types=np.ones(n_behaviors, np.uint8),
                behavior_times_ms=now - 60_000 * np.arange(n_behaviors, 0, -1),
                memory=None if row is None else row + rng.random(len(row), np.float32),
                candidate_items=rng.choice(items, N_CANDIDATES, replace=False),
                candidate_categories=np.zeros(N_CANDIDATES, np.uint64),
                time_ms=now,
            )
        )
    for inputs in requests[:5]:
        ranker.score(inputs)
    return ranker, requests


def carried(bench: Bench) -> Iterator[Check]:
    """Train readers with and without a memory of what their behaviors do not show."""
    trainings = Trainings(bench.workspace / "logs", bench.say)
    tables = trainings.with_rules(movielens_tables(bench, trainings), memory_types=LIKED)
    chosen = recipes("movielens-memory")
    wanted = []
    for row in dict.fromkeys([*PAIRS, *PAIRS.values()]):
        wanted += with_seeds(row, tables, chosen[row], 1)
    rows = dict(by_label(trainings.results(wanted)))
    for label, alone in PAIRS.items():
        told = difference(trainings, rows[label][0], rows[alone][0])
        yield Check(
            f"MovieLens: AUC of {label} less {alone} alone, 95 % interval",
            interval_text(told),
            "above 0",
            told["auc_interval"][0] > 0,
        )
