"""The broker of this machine: comes up, keeps its data, yields its port, cleans up."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from interest_center.cli import cli
from interest_center.settings import load_settings
from streams.broker_checks import PROBE_TOPIC
from streams.broker_process import Broker, new_cluster_id
from streams.kafka_jars import BrokerError, fetch_jars, find_java
from streams.ports import choose_ports

pytestmark = pytest.mark.kafka


@pytest.fixture
def own(tmp_path: Path):
    """Give a broker of the test's own, ended afterwards."""
    broker = Broker(tmp_path / "broker", load_settings().cache_dir)
    yield broker
    broker.kill()


def records_of_probe(bootstrap_servers: str) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap_servers, consumer_timeout_ms=2000)
    consumer.assign([TopicPartition(PROBE_TOPIC, 0)])
    consumer.seek_to_beginning()
    values = [record.value for record in consumer]
    consumer.close()
    return values


def test_survives_a_restart_with_data_and_port_and_a_wipe_makes_a_new_cluster(own: Broker) -> None:
    first = own.start(0)
    producer = KafkaProducer(bootstrap_servers=first.bootstrap_servers)
    producer.send(PROBE_TOPIC, b"kept").get(10)
    producer.close()
    assert own.stop()
    assert own.running() is None
    assert not own.stop()
    second = own.start()
    assert (second.port, second.cluster_id) == (first.port, first.cluster_id)
    assert b"kept" in records_of_probe(second.bootstrap_servers)
    own.kill()
    assert own.running() is None
    third = own.start()
    assert b"kept" in records_of_probe(third.bootstrap_servers)
    own.wipe()
    fourth = own.start()
    assert fourth.cluster_id != first.cluster_id
    assert b"kept" not in records_of_probe(fourth.bootstrap_servers)


def test_takes_another_port_when_the_wanted_one_is_taken(own: Broker) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        taken = squatter.getsockname()[1]
        assert own.start(taken).port != taken


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    drawn = {new_cluster_id() for _ in range(2_000)}
    assert len(drawn) == 2_000
    assert not any(one.startswith("-") for one in drawn)


def test_a_reused_pid_is_not_taken_for_the_broker(own: Broker) -> None:
    own.directory.mkdir(parents=True)
    address = own.start(0)
    own.stop()
    file = own.directory / "broker.json"
    file.write_text(file.read_text().replace(str(address.pid), str(os.getpid())))
    assert own.running() is None


def test_two_starts_at_once_give_one_broker(own: Broker) -> None:
    twin = Broker(own.directory, load_settings().cache_dir)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda one: one.start(0), (own, twin))
    assert first == second


def test_two_brokers_that_want_the_same_port_at_once_both_come_up(own: Broker, tmp_path) -> None:
    other = Broker(tmp_path / "other", load_settings().cache_dir)
    (port,) = choose_ports(0)
    try:
        with ThreadPoolExecutor(2) as threads:
            first, second = threads.map(lambda one: one.start(port), (own, other))
        assert first.port != second.port
        assert first.cluster_id != second.cluster_id
        assert own.running() == first
        assert other.running() == second
    finally:
        other.kill()


def test_a_broker_that_cannot_start_says_why(own: Broker) -> None:
    own.start(0)
    own.stop()
    (own.directory / "data" / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=9\n")
    with pytest.raises(BrokerError, match=r"(?s)ended while starting.*node") as refused:
        own.start()
    assert "broker.log" in refused.value.hint


@pytest.mark.parametrize(
    ("missing", "call"), [("Java", lambda path: find_java()), ("Maven", fetch_jars)]
)
def test_says_what_is_missing_and_how_to_get_it(missing, call, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError, match=missing) as refused:
        call(tmp_path) if missing == "Java" else call(tmp_path, print)
    assert "apt-get install" in refused.value.hint


def test_a_download_that_fails_leaves_nothing_behind(tmp_path, monkeypatch) -> None:
    fake = tmp_path / "bin" / "mvn"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho '[ERROR] no such artifact'\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(BrokerError, match="no such artifact"):
        fetch_jars(tmp_path / "cache", lambda line: None)
    assert list((tmp_path / "cache").iterdir()) == []


def test_commands_tell_what_they_did(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UIC_HOME", str(tmp_path))
    run = CliRunner()
    assert run.invoke(cli, ["broker", "status"]).exit_code == 1
    assert "not running" in run.invoke(cli, ["broker", "stop"]).output
    monkeypatch.setenv("UIC_KAFKA_BOOTSTRAP_SERVERS", "elsewhere:9092")
    refused = run.invoke(cli, ["broker", "start"])
    assert refused.exit_code == 2
    assert "elsewhere:9092" in refused.output


def test_reset_tells_how_to_go_on_and_needs_a_yes(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UIC_HOME", str(tmp_path))
    run = CliRunner()
    assert run.invoke(cli, ["broker", "reset"], input="n\n").exit_code == 1
    done = run.invoke(cli, ["broker", "reset", "--yes"])
    assert done.exit_code == 0
    assert "uic worker --fresh" in done.output


def test_the_command_says_what_is_missing(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UIC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = CliRunner().invoke(cli, ["broker", "start"])
    assert refused.exit_code == 2
    assert "Java 17 or newer is missing" in refused.output
    assert "openjdk-17-jre-headless" in refused.output
