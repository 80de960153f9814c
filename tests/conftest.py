"""Options and fixtures of all tests: a real Kafka, and topic names that nobody else has."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interest_center.settings import load_settings
from streams.broker_process import Broker


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let vectors be read from another folder, and every check meet every model."""
    parser.addoption(
        "--vectors",
        default=str(Path(__file__).parent / "golden" / "vectors"),
        metavar="DIR",
        help="folder of the numeric test vectors (default: tests/golden/vectors)",
    )
    parser.addoption(
        "--every-model",
        action="store_true",
        help="run every check of a ranker on every model name (default: see test_compositions)",
    )


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Run a real Apache Kafka for the whole session; without one the tests fail."""
    own = Broker(tmp_path_factory.mktemp("broker"), load_settings().cache_dir)
    try:
        own.start(port=0)
        yield own
    finally:
        own.stop()


@pytest.fixture(scope="session")
def kafka(broker: Broker) -> str:
    """Give the bootstrap servers of the running broker."""
    address = broker.running()
    assert address is not None
    return address.bootstrap_servers


@pytest.fixture
def topic_names() -> Callable[[str], str]:
    """Make names of topics and groups that no other test uses."""
    run = uuid.uuid4().hex[:8]
    return lambda name: f"test-{run}-{name}"
