"""What the broker's life rests on: who a pid is, and whether a record returns."""

import os
import socket
import subprocess
import time
import uuid
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from streams.ports import HOST

PROBE_TOPIC = "uic-broker-probe"
PROBE_SECONDS = 10
EXEC_LOOKS = 100


class AnotherBrokerError(Exception):
    """Something else answers where the broker should."""


def command_of(pid: int) -> str:
    """Return the command line of a living process, empty when there is none.

    ``/proc`` where there is one (a slim image has no ``ps``), ``ps`` elsewhere.
    """
    if Path("/proc/self/cmdline").exists():
        try:
            return _command_of_entry(Path(f"/proc/{pid}"))
        except OSError:
            return ""
    shown = subprocess.run(
        ["ps", "-ww", "-o", "stat=,command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return "" if shown.startswith("Z") else shown


def _command_of_entry(entry: Path) -> str:
    """Return the command line in an entry of ``/proc``.

    It is empty for an instant while a process replaces its program, and for good in a zombie.
    """
    for _ in range(EXEC_LOOKS):
        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        if command or state in {"Z", "X"}:
            return command
        time.sleep(0.002)
    return ""


def reap(pid: int) -> None:
    """Let a process that has ended leave the process table, if it is a child of ours."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def probe(port: int, cluster_id: str) -> None:
    """Put a record into a topic of one's own and read it back.

    Raises:
        AnotherBrokerError: A broker of another cluster answers.
        KafkaError: The broker does not take it or return it yet.
        OSError: Nobody listens.
    """
    # kafka-python leaves a refused socket open, so it is asked only when somebody listens.
    socket.create_connection((HOST, port), 1.0).close()
    options = {"bootstrap_servers": f"{HOST}:{port}", "api_version": (2, 6)}
    _make_probe_topic(KafkaAdminClient(**options), cluster_id)
    producer = KafkaProducer(acks="all", **options)
    try:
        sent = producer.send(PROBE_TOPIC, uuid.uuid4().bytes).get(timeout=PROBE_SECONDS)
    finally:
        producer.close(timeout=5)
    consumer = KafkaConsumer(consumer_timeout_ms=PROBE_SECONDS * 1000, **options)
    try:
        place = TopicPartition(PROBE_TOPIC, 0)
        consumer.assign([place])
        consumer.seek(place, sent.offset)
        if next(iter(consumer), None) is None:
            raise KafkaError("the probe record did not come back")
    finally:
        consumer.close()


def _make_probe_topic(admin: KafkaAdminClient, cluster_id: str) -> None:
    """Create the topic of the probes in the right cluster, and close the client."""
    try:
        found = admin.describe_cluster()["cluster_id"]
        if found != cluster_id:
            raise AnotherBrokerError(f"cluster {found} answers instead of {cluster_id}")
        admin.create_topics(
            {PROBE_TOPIC: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True
        )
    except TopicAlreadyExistsError:
        return
    finally:
        admin.close()
