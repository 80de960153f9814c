"""Fixtures of the integration tests: settings of a worker of their own, and workers to start."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_process import Sender, WorkerProcess

from interest_center.settings import Settings, load_settings
from models.bundle import Bundle, load_bundle, untrained_bundle
from streams.ports import choose_ports
from streams.topics import create_topics


@pytest.fixture
def worker_settings(kafka: str, topic_names: Callable[[str], str], tmp_path: Path) -> Settings:
    made = load_settings(
        kafka_bootstrap_servers=kafka,
        home=tmp_path / "home",
        events_topic=topic_names("events"),
        dead_letters_topic=topic_names("dead"),
        group=topic_names("group"),
        partitions=4,
        session_timeout_seconds=6.0,
        worker_port=choose_ports(0)[0],
    )
    create_topics(made)
    return made


@pytest.fixture
def ranking_settings(kafka: str, topic_names: Callable[[str], str], tmp_path: Path) -> Settings:
    """Give rankings over Kafka topics and a group of their own; nothing is created."""
    return load_settings(
        kafka_bootstrap_servers=kafka,
        home=tmp_path,
        rank_requests_topic=topic_names("requests"),
        rankings_topic=topic_names("rankings"),
        rank_dead_letters_topic=topic_names("rank-dead"),
        rank_group=topic_names("rankers"),
        partitions=2,
    )


@pytest.fixture
def start(worker_settings: Settings, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Start workers; whatever still runs at the end is killed."""
    running: list[WorkerProcess] = []

    def begin(
        *arguments: str, environment: dict[str, str] | None = None, **other: Any
    ) -> WorkerProcess:
        log = tmp_path / f"worker-{len(running)}.log"
        worker = WorkerProcess(
            worker_settings.model_copy(update=other), log, environment, arguments
        )
        running.append(worker)
        return worker

    yield begin
    for worker in running:
        worker.kill()


@pytest.fixture
def start_named(
    worker_settings: Settings, start: Callable[..., WorkerProcess]
) -> Callable[..., WorkerProcess]:
    """Start workers by name, each with a port and a state directory of its own."""
    ports: dict[str, int] = {}

    def begin(name: str, **other: Any) -> WorkerProcess:
        port = ports.setdefault(name, choose_ports(0)[0])
        return start(worker_port=port, state_dir=worker_settings.home / name, **other)

    return begin


@pytest.fixture
def sender(worker_settings: Settings) -> Sender:
    return Sender(worker_settings)


@pytest.fixture(scope="session")
def bundle_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bundle")
    untrained_bundle(directory, seed=1)
    return directory


@pytest.fixture(scope="session")
def bundle(bundle_directory: Path) -> Bundle:
    return load_bundle(bundle_directory)


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    directory = tmp_path_factory.mktemp("other")
    untrained_bundle(directory, seed=2)
    return load_bundle(directory)
