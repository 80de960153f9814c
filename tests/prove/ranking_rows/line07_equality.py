"""Line 7: HTTP, MessagePack, batches, Kafka, the inference protocol, offline: the same scores."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import torch
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from interest_center.core.messages import MSGPACK_MEDIA_TYPE
from models.bundle import Bundle, load_bundle
from models.evaluate import Log
from models.prediction import predict
from models.request_batches import RequestTensors
from prove.models_rows.line08_replay import Offline, differences, offline_scores
from prove.ranking_rows.explained import by_item, explanations, write_models
from prove.reading import Connection
from prove.replays import Asked, Request, Round, ask, requests_of, rounds_of
from prove.rows import Bench, Check, equal
from prove.sending import send_plain
from prove.system import System, SystemFailedError
from prove.trainings import Result, Training, Trainings
from prove.verification import EVENTS_TOPIC, wait_caught_up

WORLD_SEED, WORLD = 10, ("--users", "800")
MODEL, EPOCHS = "dei2n+mimn", 2
SPLIT = "test"
N_REQUESTS = 2_000
TOLERANCE = 1e-5
N_PARTITIONS = 4
PATIENT_MS = 5_000
REQUESTS_TOPIC, RANKINGS_TOPIC = "uic-rank-requests", "uic-rankings"
BATCH = 50
ANSWER_SECONDS = 120.0
EXPOSURES_TOPIC = "uic-exposures"

Probabilities = dict[int, float]


@dataclass
class Ways:
    """The probabilities of each row of the samples, by the way that they came.

    Attributes:
        found: By way.
        asked: The answers over HTTP.
    """

    found: dict[str, Probabilities] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def add(self, way: str, requests: Sequence[Request], told: Sequence[dict[str, float]]) -> None:
        """Note the probabilities by item of some requests."""
        rows = self.found.setdefault(way, {})
        for request, scores in zip(requests, told, strict=True):
            for row, (item, _) in zip(request.rows, request.items, strict=True):
                rows[row] = scores[item]


def prove(bench: Bench) -> Iterator[Check]:
    """Train, replay the same requests by every way, and explain some."""
    trainings = Trainings(bench.workspace / "logs", bench.say)
    tables = trainings.world(WORLD_SEED, *WORLD).tables
    recipe = {"model": MODEL, "epochs": EPOCHS}
    [result] = trainings.results([Training(MODEL, tables, recipe)])
    torch.set_num_threads(1)
    offline = offline_scores(load_bundle(result.bundle), tables)
    samples = tables.directory / "samples.parquet"
    requests = requests_of(samples, SPLIT, N_REQUESTS, bench.rng(7))
    ways, explained = replayed(bench, result, requests)
    yield equal("requests", len(ways.asked) >= N_REQUESTS, True)
    yield from compared(ways, offline)
    yield from explained


def replayed(bench: Bench, result: Result, requests: list[Request]) -> tuple[Ways, list[Check]]:
    """Start the system; push the users' events and ask at every moment, by every way."""
    events = result.training.tables.directory / "events.parquet"
    ways = Ways()
    settings = {
        "partitions": N_PARTITIONS,
        "bundle": result.bundle,
        "exposures_topic": EXPOSURES_TOPIC,
    }
    models = write_models(bench.workspace / "models", result.bundle)
    with System(bench.workspace / "system", **settings) as system:
        system.start_broker()
        system.run("topics", "create", "--ranking")
        worker = system.start_worker()
        worker.wait_ready()
        ranker = system.start_ranker(
            "ranker", "--from-kafka", *models, worker_urls=worker.url, rank_deadline_ms=PATIENT_MS
        )
        ranker.wait_ready()
        over_kafka = OverKafka(system.bootstrap)
        for one in rounds_of(requests, events):
            send_plain(system.bootstrap, EVENTS_TOPIC, one.messages)
            wait_caught_up(system, [worker])
            ask_all_ways(ranker.url, one, over_kafka, ways)
            bench.say(f"{len(ways.asked):,} of {len(requests):,} requests, each by every way")
        over_kafka.close()
        bench.say("what was shown, as tables")
        ranker.stop()  # It sends the exposures that still wait.
        tables = bench.workspace / "shown"
        system.run("exposures", "--out", str(tables), "--within", "1s")
        checks = list(trained_as_served(load_bundle(result.bundle), tables))
        bench.say("explanations")
        ranker = system.start_ranker("ranker", *models, worker_urls=worker.url)
        ranker.wait_ready()
        checks += explanations(ranker.url, ways.asked, bench, TOLERANCE)
    return ways, checks


def ask_all_ways(url: str, round_: Round, over_kafka: "OverKafka", ways: Ways) -> None:
    """Ask the requests of a round by every way."""
    requests = [request for request, _ in round_.requests]
    asked = ask(url, round_)
    ways.asked += asked
    ways.add("HTTP, JSON", requests, [by_item(one.answer) for one in asked])
    connection = Connection(url)
    try:
        for way, post in (("HTTP, MessagePack", packed), ("inference protocol", inferred)):
            ways.add(way, requests, [post(connection, request) for request in requests])
        ways.add("HTTP, batches", requests, batched(connection, requests))
    finally:
        connection.close()
    ways.add("Kafka", requests, over_kafka.answers(requests))


def packed(connection: Connection, request: Request) -> dict[str, float]:
    """Ask in MessagePack."""
    body = msgspec.msgpack.encode(request.body)
    status, answer = connection.call("POST", "/v1/rank", body, MSGPACK_MEDIA_TYPE)
    if status != 200:
        raise SystemFailedError(f"MessagePack: {status} {answer!r}")
    return by_item(msgspec.msgpack.decode(answer))


def batched(connection: Connection, requests: Sequence[Request]) -> list[dict[str, float]]:
    """Ask many in one call."""
    told: list[dict[str, float]] = []
    for first in range(0, len(requests), BATCH):
        bodies = [request.body for request in requests[first : first + BATCH]]
        answer = connection.post("/v1/rank:batch", {"requests": bodies})
        told += map(by_item, answer["answers"])
    return told


def inferred(connection: Connection, request: Request) -> dict[str, float]:
    """Ask by the Open Inference Protocol."""
    body = request.body
    items = [one["item_id"] for one in body["candidates"]]
    columns: list[tuple[str, str, list[Any]]] = [
        ("user_id", "BYTES", [body["user_id"]]),
        ("item_id", "BYTES", items),
        ("time_ms", "INT64", [body["time_ms"]]),
    ]
    categories = [one["category_id"] for one in body["candidates"]]
    if all(categories):
        columns.append(("category_id", "BYTES", categories))
    if "page" in body:
        columns.append(("page", "INT64", [body["page"]]))
    if "trigger" in body:
        columns.append(("trigger_item_id", "BYTES", [body["trigger"]["item_id"]]))
        if body["trigger"]["category_id"]:
            columns.append(("trigger_category_id", "BYTES", [body["trigger"]["category_id"]]))
    inputs = [
        {"name": name, "datatype": kind, "shape": [len(data)], "data": data}
        for name, kind, data in columns
    ]
    answer = connection.post("/v2/models/default/infer", {"inputs": inputs})
    [data] = [one["data"] for one in answer["outputs"] if one["name"] == "probability"]
    return dict(zip(items, data, strict=True))


class OverKafka:
    """Asks by one topic and waits for the answers in the other.

    Args:
        bootstrap: Where Kafka is.
    """

    def __init__(self, bootstrap: str) -> None:
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        places = [TopicPartition(RANKINGS_TOPIC, number) for number in range(N_PARTITIONS)]
        self._consumer.assign(places)
        self._consumer.seek_to_beginning(*places)
        self._n_asked = 0

    def answers(self, requests: Sequence[Request]) -> list[dict[str, float]]:
        """Send requests and return their answers.

        Raises:
            SystemFailedError: An answer does not come, or comes twice.
        """
        waiting: dict[bytes, int] = {}
        for at, request in enumerate(requests):
            name = b"%d" % self._n_asked
            self._n_asked += 1
            waiting[name] = at
            self._producer.send(
                REQUESTS_TOPIC,
                json.dumps(request.body).encode(),
                key=request.user.encode(),
                headers=[("correlation-id", name)],
            )
        self._producer.flush()
        found: dict[int, dict[str, float]] = {}
        deadline = time.monotonic() + ANSWER_SECONDS
        while waiting:
            for records in self._consumer.poll(200).values():
                for record in records:
                    name = dict(record.headers)["correlation-id"]
                    if name not in waiting:
                        raise SystemFailedError(f"request {name!r} was answered again")
                    found[waiting.pop(name)] = by_item(json.loads(record.value))
            if time.monotonic() > deadline:
                raise SystemFailedError(f"{len(waiting)} requests have no answer in the topic")
        return [found[at] for at in range(len(requests))]

    def close(self) -> None:
        """Close the connections."""
        self._producer.close()
        self._consumer.close()


def compared(ways: Ways, offline: Offline) -> Iterator[Check]:
    """Compare every way with offline evaluation."""
    odd = [f"{one.request.user}: {one.trouble}" for one in ways.asked if one.trouble]
    yield Check("answers from the whole state", "; ".join(odd[:4]) or "all", "all", not odd)
    for way, found in ways.found.items():
        worst = float(np.max(differences(found, offline.live)))
        yield Check(
            f"{way}: largest difference to offline evaluation",
            f"{worst:.1e} over {len(found):,} candidates",
            f"at most {TOLERANCE:.0e}",
            worst <= TOLERANCE,
        )
    share = float(np.mean(differences(ways.found["Kafka"], offline.stale) > TOLERANCE))
    yield Check(
        "candidates that differ from scores with states one hour old",
        f"{share:.1%}",
        "most: the comparison would see it",
        share > 0.5,
    )


def trained_as_served(bundle: Bundle, directory: Path) -> Iterator[Check]:
    """Score what was shown as a training would see it, and compare with what was answered."""
    log = Log(directory / "events.parquet", directory / "samples.parquet")
    joined = log.join(bundle.state)
    tensors = RequestTensors(joined, bundle.vocabulary, bundle.ranker.model.config)
    every = np.arange(len(joined.requests.users))
    indices, scores = predict(bundle.ranker.model, tensors, every, bundle.updater)
    shown = pl.read_parquet(directory / "samples.parquet")["served_probability"].to_numpy()
    worst = float(np.max(np.abs(scores - shown[joined.requests.rows[indices]])))
    yield Check(
        "tables of `uic exposures`: largest difference between scores offline and as served",
        f"{worst:.1e} over {len(shown):,} shown items",
        f"at most {TOLERANCE:.0e}, of {N_REQUESTS:,} requests and more",
        worst <= TOLERANCE and len(every) >= N_REQUESTS,
    )
