"""A bundle of random weights for the tests of ranking."""

from pathlib import Path

import pytest

from models.bundle import Bundle, load_bundle, untrained_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Load an untrained DIN with MIMN memory."""
    directory: Path = tmp_path_factory.mktemp("bundle")
    untrained_bundle(directory)
    return load_bundle(directory)
