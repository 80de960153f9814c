"""Rankings over a real Kafka: one answer a request, whatever is killed."""

import asyncio
import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from interest_nodes import Cluster, worker_node
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from ranking_requests import MALFORMED, request_with
from ranking_worker import CANDIDATES, TIME_MS, command, history

from interest_center.settings import Settings, environment_of
from models.bundle import Bundle
from ranking.kafka_path import KafkaPath
from ranking.rankings import Rankings
from ranking.request_reading import decode_request
from ranking.state_client import StateClient
from streams.ports import choose_ports
from streams.topics import create_topics, ranking_plans

pytestmark = pytest.mark.kafka

N_PARTITIONS = 2
SECONDS = 60.0


@pytest.fixture
def settings(ranking_settings: Settings) -> Settings:
    assert ranking_settings.partitions == N_PARTITIONS
    create_topics(ranking_settings, ranking_plans(ranking_settings))
    return ranking_settings


def send(settings: Settings, requests: list[tuple[str, bytes]]) -> None:
    """Send requests, each with its correlation id."""
    producer = KafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks="all")
    for number, (name, body) in enumerate(requests):
        headers = [("correlation-id", name.encode()), ("from", b"a test")]
        place = number % N_PARTITIONS
        topic = settings.rank_requests_topic
        producer.send(topic, body, key=b"u1", headers=headers, partition=place)
    producer.close()


def records_of(settings: Settings, topic: str) -> list[Any]:
    """Return the committed records of a topic."""
    consumer = KafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers, isolation_level="read_committed"
    )
    places = [TopicPartition(topic, number) for number in range(N_PARTITIONS)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    found: list[Any] = []
    empty = 0
    while empty < 3:
        polled = consumer.poll(300)
        empty = 0 if polled else empty + 1
        found += [record for some in polled.values() for record in some]
    consumer.close()
    return found


def headers_of(record: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def n_answered(settings: Settings) -> int:
    """Return the offset behind the last answered request, over all partitions."""
    consumer = KafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers, group_id=settings.rank_group
    )
    places = [TopicPartition(settings.rank_requests_topic, n) for n in range(N_PARTITIONS)]
    total = sum(consumer.committed(place) or 0 for place in places)
    consumer.close()
    return total


async def until_answered(settings: Settings, n: int) -> None:
    deadline = time.monotonic() + SECONDS
    while await asyncio.to_thread(n_answered, settings) < n:
        assert time.monotonic() < deadline, "not answered in time"
        await asyncio.sleep(0.2)


@asynccontextmanager
async def answering(settings: Settings, bundle: Bundle, url: str) -> AsyncIterator[Rankings]:
    """Answer the topic's requests in this event loop."""
    async with StateClient([url], 5.0) as states:
        rankings = Rankings({"default": bundle}, states, lambda: TIME_MS)
        path = KafkaPath(settings, rankings)
        await path.start()
        running = asyncio.create_task(path.run())
        try:
            yield rankings
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await path.stop()
            rankings.close()


def a_request(**fields: Any) -> bytes:
    return json.dumps(
        {"user_id": "u1", "candidates": CANDIDATES, "time_ms": TIME_MS} | fields
    ).encode()


async def test_answers_are_those_of_http_and_wrong_requests_are_dead_letters(
    settings: Settings, bundle: Bundle
) -> None:
    cluster = Cluster(bundle.updater)
    cluster.push(history("u1", 50))
    good = [(f"good-{k}", a_request(top_k=k)) for k in range(1, 11)]
    wrong = [(name, body) for name, (body, _) in MALFORMED.items() if len(body) < 1_000_000]
    send(settings, [*good, *wrong])
    async with (
        worker_node(cluster, {0, 1, 2, 3}) as node,
        answering(settings, bundle, node.url) as rankings,
    ):
        await until_answered(settings, len(good) + len(wrong))
        by_http = {
            name: await rankings.rank(lambda body=body: decode_request(body))  # type: ignore[misc]
            for name, body in good
        }
    answers = records_of(settings, settings.rankings_topic)
    assert sorted(headers_of(one)["correlation-id"] for one in answers) == sorted(by_http)
    for record in answers:
        told = json.loads(record.value)
        same = by_http[headers_of(record)["correlation-id"]]
        assert record.key == b"u1"
        assert told["degraded"] is None
        assert [(one["item_id"], one["score"]) for one in told["items"]] == [
            (one.item_id, one.score) for one in same.items
        ]
    letters = records_of(settings, settings.rank_dead_letters_topic)
    by_name = {headers_of(one)["correlation-id"]: one for one in letters}
    assert sorted(by_name) == sorted(name for name, _ in wrong)
    assert len(letters) == len(wrong)
    for name, body in wrong:
        headers = headers_of(by_name[name])
        field = MALFORMED[name][1]
        assert (by_name[name].value or b"") == body
        assert headers["reason"] == "bad_request"
        assert headers["detail"].startswith(f"{field}: ")
        assert headers["topic"] == settings.rank_requests_topic
        assert headers["original.from"] == "a test"


async def test_a_request_without_a_correlation_id_is_found_by_its_place(
    settings: Settings, bundle: Bundle
) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.bootstrap_servers)
    producer.send(settings.rank_requests_topic, request_with(), partition=1)
    producer.close()
    async with (
        worker_node(Cluster(bundle.updater), {0, 1, 2, 3}) as node,
        answering(settings, bundle, node.url),
    ):
        await until_answered(settings, 1)
    [answer] = records_of(settings, settings.rankings_topic)
    assert headers_of(answer)["correlation-id"] == f"{settings.rank_requests_topic}/1/0"


async def test_a_record_of_nothing_and_an_explanation_of_nothing_stop_nobody(
    settings: Settings, bundle: Bundle
) -> None:
    candidates = [{"item_id": "1", "bid": 1.0}]
    nothing_left = a_request(candidates=candidates, reserve=10.0, top_k=1, explain=True)
    # A client of librdkafka sends such a record; the Python clients only in a batch.
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers)
    await producer.start()
    batch = producer.create_batch()
    for value in (None, nothing_left, a_request()):
        batch.append(key=None, value=value, timestamp=None)
    await (await producer.send_batch(batch, settings.rank_requests_topic, partition=0))
    await producer.stop()
    async with (
        worker_node(Cluster(bundle.updater), {0, 1, 2, 3}) as node,
        answering(settings, bundle, node.url),
    ):
        await until_answered(settings, 3)
    # Without a key each answer may be in another partition.
    answers = records_of(settings, settings.rankings_topic)
    first, second = sorted(answers, key=lambda record: int(headers_of(record)["offset"]))
    assert json.loads(first.value)["explanation"]["items"] == []
    assert len(json.loads(second.value)["items"]) == len(CANDIDATES)
    [letter] = records_of(settings, settings.rank_dead_letters_topic)
    assert headers_of(letter)["reason"] == "bad_request"


async def test_each_request_has_one_answer_whatever_is_killed(
    settings: Settings, bundle: Bundle, bundle_directory: Path, tmp_path: Path
) -> None:
    n_requests, n_kills = 600, 4
    rng = random.Random(1)
    names = [f"request-{number}" for number in range(n_requests)]
    cluster = Cluster(bundle.updater)
    cluster.push(history("u1", 50))
    started: list[subprocess.Popen[str]] = []

    def start(url: str) -> subprocess.Popen[str]:
        (port,) = choose_ports(0)
        own = {"ranker_port": port, "worker_urls": url, "bundle": bundle_directory}
        environment = environment_of(settings.model_copy(update=own))
        process = command("ranker", "--from-kafka", "--deadline-ms", "5000", **environment)
        started.append(process)
        return process

    async with worker_node(cluster, {0, 1, 2, 3}) as node:
        try:
            both = [start(node.url), start(node.url)]
            for number in range(n_kills):
                part = names[number * 150 : (number + 1) * 150]
                send(settings, [(name, a_request()) for name in part])
                await until_answered(settings, number * 150 + 20)
                await asyncio.sleep(rng.uniform(0, 0.3))
                both[number % 2].kill()
                both[number % 2] = start(node.url)
            await until_answered(settings, n_requests)
        finally:
            for process in started:
                process.kill()
                process.communicate()
    answers = records_of(settings, settings.rankings_topic)
    counted = Counter(headers_of(one)["correlation-id"] for one in answers)
    assert counted == Counter(names)
    assert not records_of(settings, settings.rank_dead_letters_topic)


def test_missing_topics_are_told(settings: Settings, bundle_directory: Path) -> None:
    own = {"rankings_topic": "nowhere", "bundle": bundle_directory}
    environment = environment_of(settings.model_copy(update=own))
    process = command("ranker", "--from-kafka", "--port", "0", **environment)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert "topic nowhere is not there" in output
    assert "uic topics create --ranking" in output
    assert "Traceback" not in output
