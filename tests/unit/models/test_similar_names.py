"""A name that is not known is answered with the one that was meant, and with all there are."""

import pytest

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from models.recipe import read_recipe
from models.registry import model_names
from models.similar_names import one_of

STATE = StateConfig()


def test_the_nearest_name_comes_first_and_all_follow() -> None:
    assert one_of("epoch", ["decay", "epochs"]) == "did you mean epochs? one of decay, epochs"
    assert one_of("xyz", ["decay", "epochs"]) == "one of decay, epochs"


@pytest.mark.parametrize(
    ("model", "setting", "meant"),
    [
        ("din", "histroy_length=20", "history_length"),
        ("din", "reader.hiden=[8]", "reader.hidden"),
        ("din+mimn", "memory.n_slot=6", "memory.n_slots"),
        ("dinn", "epochs=1", "din"),
        ("din+mimm", "epochs=1", "din+mimn"),
    ],
)
def test_settings_and_models_are_answered_so(model: str, setting: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_recipe(None, model, [setting]).configs(STATE)
    assert refused.value.hint.startswith(f"did you mean {meant}? one of ")
    if setting == "epochs=1":
        assert refused.value.hint.endswith(", ".join(model_names()))
