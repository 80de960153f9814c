"""What a worker is built from: the rules of its states are the bundle's own."""

from pathlib import Path

import msgspec
import pytest

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from interest_center.settings import load_settings
from models.bundle import untrained_bundle
from streams.worker_tools import state_rules

OTHER = StateConfig(memory_types=("purchase",))


def test_without_a_bundle_the_rules_are_the_configured_ones(tmp_path: Path) -> None:
    assert state_rules(load_settings()) == StateConfig()
    rules = tmp_path / "rules.json"
    rules.write_bytes(msgspec.json.encode(OTHER))
    assert state_rules(load_settings(state_config=rules)) == OTHER


def test_a_bundle_brings_its_rules_and_no_others_are_taken(tmp_path: Path) -> None:
    bundle, rules = tmp_path / "bundle", tmp_path / "rules.json"
    untrained_bundle(bundle, seed=1)
    assert state_rules(load_settings(bundle=bundle)) == StateConfig()
    rules.write_bytes(msgspec.json.encode(StateConfig()))
    assert state_rules(load_settings(bundle=bundle, state_config=rules)) == StateConfig()
    rules.write_bytes(msgspec.json.encode(OTHER))
    with pytest.raises(ConfigurationError, match="other state rules") as refused:
        state_rules(load_settings(bundle=bundle, state_config=rules))
    assert "UIC_STATE_CONFIG" in refused.value.hint
