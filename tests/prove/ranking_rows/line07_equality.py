"""Line 7: HTTP, MessagePack, batches, Kafka, the inference protocol, offline: the same scores."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import torch
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from interest_center.core.messages import MSGPACK_MEDIA_TYPE
from models.bundle import load_bundle
from prove.models_rows.line08_replay import Offline, differences, offline_scores
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
N_EXPLAINED = 20
#: That a request may bring.
MOST_EVENTS = 1_000

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
        for request, by_item in zip(requests, told, strict=True):
            for row, (item, _) in zip(request.rows, request.items, strict=True):
                rows[row] = by_item[item]


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
    settings = {"partitions": N_PARTITIONS, "bundle": result.bundle}
    with System(bench.workspace / "system", **settings) as system:
        system.start_broker()
        system.run("topics", "create", "--ranking")
        worker = system.start_worker()
        worker.wait_ready()
        ranker = system.start_ranker(
            "ranker", "--from-kafka", worker_urls=worker.url, rank_deadline_ms=PATIENT_MS
        )
        ranker.wait_ready()
        over_kafka = OverKafka(system.bootstrap)
        for one in rounds_of(requests, events):
            send_plain(system.bootstrap, EVENTS_TOPIC, one.messages)
            wait_caught_up(system, [worker])
            ask_all_ways(ranker.url, one, over_kafka, ways)
            bench.say(f"{len(ways.asked):,} of {len(requests):,} requests, each by every way")
        bench.say("explanations")
        checks = list(explanations(ranker.url, ways.asked, bench))
        over_kafka.close()
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


def by_item(answer: dict[str, Any]) -> dict[str, float]:
    """Return the probability of each item of an answer."""
    return {item["item_id"]: float(item["probability"]) for item in answer["items"]}


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


def explanations(url: str, asked: Sequence[Asked], bench: Bench) -> Iterator[Check]:
    """Ask for explanations, and hold them against requests that lack the part."""
    connection = Connection(url)
    chosen = [one for one in asked if one.request.trigger is not None and len(one.done) > 1]
    rng = bench.rng(7, 1)
    some = [chosen[at] for at in rng.choice(len(chosen), N_EXPLAINED, replace=False)]
    worst, n_parts, with_slots = 0.0, 0, 0
    for one in some:
        # The states have gone on since: both sides are asked now, and by what they brought along.
        events = [event_of(event) for event in one.done][-MOST_EVENTS:]
        body = one.request.body | {"user_id": f"stranger-{n_parts}", "events": events, "top_k": 3}
        told = connection.post("/v1/rank", body | {"explain": True})
        scores = by_item(told)
        without = {key: value for key, value in body.items() if key != "trigger"}
        really = by_item(connection.post("/v1/rank", without | {"top_k": None}))
        for item in told["explanation"]["items"]:
            lost = scores[item["item_id"]] - really[item["item_id"]]
            worst = max(worst, abs(item["without_trigger"] - lost))
            n_parts += 1
            with_slots += item["slots"] is not None and abs(sum(item["slots"]) - 1) < 1e-4
    connection.close()
    yield Check(
        f"explained: worth of the trigger against really leaving it out, {n_parts} items",
        f"differ by {worst:.1e} at most",
        f"at most {TOLERANCE:.0e}",
        worst <= TOLERANCE and n_parts > 0,
    )
    yield equal("explained: items with weights of memory slots that sum to 1", with_slots, n_parts)


def event_of(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as a request brings it."""
    names = ("item_id", "category_id", "event_type", "event_time_ms")
    return {name: event[name] for name in names if event.get(name) is not None}
