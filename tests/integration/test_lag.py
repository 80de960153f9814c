"""The lag seen from outside the worker: records and seconds, by position and by commit."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from interest_center.api.directory import PartitionStatus
from interest_center.cli import cli
from interest_center.core.errors import ConfigurationError
from interest_center.settings import Settings, load_settings
from streams.broker_process import Broker
from streams.lag_probe import LagProbe
from streams.topics import KafkaUnreachableError, create_topics

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka, topic_names) -> Settings:
    return load_settings(
        kafka_bootstrap_servers=kafka,
        events_topic=topic_names("events"),
        dead_letters_topic=topic_names("dead"),
        group=topic_names("group"),
        partitions=2,
        worker_urls="http://127.0.0.1:1",
    )


@pytest.fixture
def positions() -> dict[int, int]:
    """Give the positions that a worker tells; the test moves them."""
    return {0: 0, 1: 0}


@pytest.fixture
def worker_url(positions: dict[int, int]) -> Iterator[str]:
    """Serve ``GET /v1/partitions`` in the form of the worker's own structs."""

    class Partitions(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            statuses = [
                PartitionStatus(
                    number, None, mine=True, ready=True, position=at, durable_watermark=at // 2
                )
                for number, at in positions.items()
            ]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(msgspec.json.encode({"n_partitions": 2, "partitions": statuses}))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Partitions)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def send(settings: Settings, partition: int, n_records: int) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers)
    for _ in range(n_records):
        producer.send(settings.events_topic, b"{}", partition=partition)
    producer.flush()
    producer.close()


def test_records_and_seconds_follow_the_first_unapplied_record(
    settings: Settings, worker_url: str, positions: dict[int, int]
) -> None:
    create_topics(settings)
    with LagProbe(settings.model_copy(update={"worker_urls": worker_url})) as probe:
        empty = probe.measure()
        assert (empty.records, empty.seconds, empty.without_worker) == (0, 0.0, [])
        send(settings, 0, 10)
        time.sleep(1.2)
        send(settings, 0, 5)
        behind = probe.measure()
        assert [one.records for one in behind.partitions] == [15, 0]
        assert behind.seconds == behind.partitions[0].seconds
        assert 1.2 <= behind.seconds < 10
        positions[0] = 10
        younger = probe.measure()
        assert younger.records == 5
        assert younger.partitions[0].seconds <= behind.partitions[0].seconds - 0.5
        assert younger.partitions[0].durable_records == 10
        positions[0] = 0
        assert probe.measure().seconds > behind.seconds
        positions[0] = 15
        done = probe.measure()
        assert (done.records, done.seconds) == (0, 0.0)


def test_what_an_aborted_transaction_left_is_no_lag_in_seconds(
    settings: Settings, worker_url: str, positions: dict[int, int]
) -> None:
    create_topics(settings)
    producer = KafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap_servers, transactional_id=settings.group
    )
    producer.init_transactions()
    producer.begin_transaction()
    for _ in range(3):
        producer.send(settings.events_topic, b"{}", partition=1)
    producer.flush()
    producer.abort_transaction()
    producer.close()
    with LagProbe(settings.model_copy(update={"worker_urls": worker_url})) as probe:
        measured = probe.measure()
    assert [one.records for one in measured.partitions] == [0, 4]
    assert measured.seconds == 0.0
    assert positions == {0: 0, 1: 0}


def test_without_a_worker_the_commit_is_the_hint_and_the_command_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_topics(settings)
    send(settings, 0, 8)
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers, group_id=settings.group
    )
    consumer.commit({TopicPartition(settings.events_topic, 0): OffsetAndMetadata(3, "", -1)})
    consumer.close()
    for name in ("kafka_bootstrap_servers", "events_topic", "group", "worker_urls"):
        monkeypatch.setenv(f"UIC_{name.upper()}", str(getattr(settings, name)))
    shown = CliRunner().invoke(cli, ["lag", "--once", "--json"])
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.stdout)
    assert told["without_worker"] == [0, 1]
    assert told["partitions"][0]["records"] == 5
    assert told["partitions"][0]["position"]["source"] == "group"
    assert told["partitions"][1]["position"] is None
    assert told["lag_records"] is None
    table = CliRunner().invoke(cli, ["lag", "--once"])
    told_text = " ".join(table.output.split())
    assert "no worker answers" in told_text
    assert "uic worker" in told_text


def test_a_cluster_without_any_group_is_no_error(settings: Settings, tmp_path: Path) -> None:
    own = Broker(tmp_path, settings.cache_dir)
    try:
        servers = own.start(0).bootstrap_servers
        fresh = settings.model_copy(update={"kafka_bootstrap_servers": servers})
        create_topics(fresh)
        with LagProbe(fresh) as probe:
            assert [one.position for one in probe.measure().partitions] == [None, None]
    finally:
        own.kill()


def test_a_missing_topic_and_a_missing_broker_say_what_to_do(settings: Settings) -> None:
    with LagProbe(settings) as probe, pytest.raises(ConfigurationError, match="is not there"):
        probe.measure()
    with pytest.raises(KafkaUnreachableError, match=r"127\.0\.0\.1:1"):
        LagProbe(settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"}))
