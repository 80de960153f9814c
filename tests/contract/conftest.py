"""The models that rankers' checks meet: enough of them by default, all with ``--every-model``."""

import pytest
from checked_models import SEED, checked_in_full

from models.bundle import Bundle, load_bundle, untrained_bundle
from models.registry import model_names


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each check that takes a bundle the names of the models, one after the other."""
    if "model_name" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-model")
        names = model_names() if every else checked_in_full()
        metafunc.parametrize("model_name", names, scope="module")


@pytest.fixture(scope="module")
def bundle(model_name: str, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Load an untrained bundle of each model."""
    directory = tmp_path_factory.mktemp("bundle")
    untrained_bundle(directory, model_name, SEED)
    return load_bundle(directory)
