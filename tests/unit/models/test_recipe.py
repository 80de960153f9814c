"""What a training is told: every wrong name and value is named, and what is given last wins."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from models.recipe import read_recipe
from models.registry import READERS, load_class, reader_model

STATE = StateConfig()


def test_a_recipe_sets_model_and_training_and_settings_win(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(
        '{"model": "din+mimn", "history_length": 50, "reader.hidden": [8, 4], "memory.n_slots": 6, '
        '"epochs": 3, "mlp_hidden": [16, 8]}'
    )
    recipe = read_recipe(path, None, ["epochs=5", "activation=prelu", "learning_rate=1"])
    config, options = recipe.configs(STATE)
    assert (config.name, config.history_length, config.mlp_hidden) == ("din+mimn", 50, (16, 8))
    assert config.reader_config["hidden"] == [8, 4]
    assert config.memory_config["n_slots"] == 6
    assert config.activation == "prelu"
    assert (options.epochs, options.learning_rate) == (5, 1.0)
    assert read_recipe(path, "dien", []).model == "dien"


def test_widths_of_embeddings_reach_the_memory() -> None:
    config, _ = read_recipe(None, "din+hpmn", ["item_dim=8", "category_dim=4"]).configs(STATE)
    assert (config.memory_config["item_dim"], config.memory_config["category_dim"]) == (8, 4)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("epoch=3", "'epoch'"),
        ("readers.hidden=[8]", "'readers.hidden'"),
        ("reader.width=8", "'reader.width'"),
        ("memory.slots=8", "'memory.slots'"),
        ("memory.item_dim=8", "memory.item_dim is not set by itself"),
        ("reader=dien", "'reader'"),
        ("epochs=three", r"`str` - at `epochs`"),
        ("epochs=0", r">= 1 - at `epochs`"),
        ("requests_at_once=0", r"at `requests_at_once`"),
        ("window=0", r"at `window`"),
        ("part_size=-1", r"at `part_size`"),
        ("unknown_share=2", r"at `unknown_share`"),
        ("learning_rate=NaN", r"at `learning_rate`"),
        ("seed=-1", r"at `seed`"),
        ("item_dim=0", r"at `item_dim`"),
        ("history_length=0", r"at `history_length`"),
        ("dropout=1.5", r"at `dropout`"),
        ("mlp_hidden=[16,0]", r"at `mlp_hidden\[1\]`"),
        ("activation=relu", r"at `activation`"),
        ("trigger=maybe", r"at `trigger`"),
        ("reader.hidden=8", r"at `reader\.hidden`"),
        ("memory.n_slots=many", r"at `memory\.n_slots`"),
        ("epochs", "--set epochs has no value"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_recipe(None, "din+mimn", [setting]).configs(STATE)


@pytest.mark.parametrize(
    ("model", "setting", "said"),
    [
        ("din", "reader.hidden=[8,0]", r"at `reader\.hidden\[1\]`"),
        ("din", "reader.n_ages=-1", r"at `reader\.n_ages`"),
        ("dien", "reader.auxiliary_weight=-0.1", r"at `reader\.auxiliary_weight`"),
        ("dmin", "reader.refiner_heads=0", r"at `reader\.refiner_heads`"),
        ("dei2n", "reader.dropout=1", r"at `reader\.dropout`"),
        ("dian", "reader.n_heads=0", r"at `reader\.n_heads`"),
        ("dihn", "reader.intent_rate=-1", r"at `reader\.intent_rate`"),
        ("sim", "reader.head_dim=0", r"at `reader\.head_dim`"),
        ("gru4rec", "reader.hidden_dim=0", r"at `reader\.hidden_dim`"),
        ("din+hpmn", "memory.periods=[0]", r"at `memory\.periods\[0\]`"),
        ("dien", "learning_rate=Infinity", r"at `learning_rate`"),
    ],
)
def test_a_value_out_of_its_range_is_named(model: str, setting: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read_recipe(None, model, [setting]).configs(STATE)


@pytest.mark.parametrize("model", [name for name in READERS if not READERS[name].recurrent])
def test_only_a_recurrence_begins_at_shared_events(model: str) -> None:
    with pytest.raises(ConfigurationError, match="no recurrence"):
        read_recipe(None, model, ["restart_every=10", "history_length=20"]).configs(STATE)


@pytest.mark.parametrize("model", READERS)
def test_the_values_of_a_reader_do_not_follow_later_defaults(model: str) -> None:
    config, _ = read_recipe(None, model, []).configs(STATE)
    kind = load_class(reader_model(model).config)
    assert set(config.reader_config) == {field.name for field in fields(kind)}
    assert json.loads(json.dumps(config.reader_config)) == config.reader_config


def test_an_unknown_name_is_answered_with_all_there_are() -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_recipe(None, "din", ["epoch=3"]).configs(STATE)
    assert {"epochs", "history_length", "reader.*"} <= set(
        refused.value.hint.removeprefix("one of ").split(", ")
    )


def test_a_model_without_memory_has_none_to_set() -> None:
    with pytest.raises(ConfigurationError, match="din has no memory") as refused:
        read_recipe(None, "din", ["memory.n_slots=4"]).configs(STATE)
    assert "din+mimn" in refused.value.hint


def test_a_reader_sees_no_more_than_a_state_holds() -> None:
    short = StateConfig(n_behaviors=20)
    assert read_recipe(None, "din", []).configs(short)[0].longest_window == 20
    assert read_recipe(None, "dien", []).configs(short)[0].longest_window <= 20
    with pytest.raises(ConfigurationError, match="a state holds 20"):
        read_recipe(None, "din", ["history_length=21"]).configs(short)


@pytest.mark.parametrize("content", ["{", "[1]", '"din"'])
def test_a_file_that_is_no_recipe_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"cannot read the recipe .*recipe\.json"):
        read_recipe(path, "din", [])
    with pytest.raises(ConfigurationError, match="cannot read the recipe"):
        read_recipe(tmp_path / "none.json", "din", [])


def test_a_recipe_without_a_model_says_what_to_give(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text('{"epochs": 3}')
    with pytest.raises(ConfigurationError, match="no model") as refused:
        read_recipe(path, None, [])
    assert "--model" in refused.value.hint
    assert read_recipe(path, "din", []).values == {"epochs": 3}
