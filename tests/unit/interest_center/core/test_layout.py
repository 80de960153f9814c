"""The rules of a state: what they refuse, what their fingerprint covers, how they are read."""

from pathlib import Path
from typing import Any

import pytest

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import (
    FEEDS_BEHAVIORS,
    FEEDS_MEMORY,
    FEEDS_SUBSEQUENCE,
    StateConfig,
    feeds_by_type,
    load_state_config,
)


def test_every_rule_is_in_the_fingerprint() -> None:
    fingerprints = {
        StateConfig().fingerprint,
        StateConfig(event_types=(*StateConfig().event_types, "share")).fingerprint,
        StateConfig(behavior_types=("click",)).fingerprint,
        StateConfig(subsequence_types=("click",)).fingerprint,
        StateConfig(memory_types=("click",)).fingerprint,
        StateConfig(n_behaviors=99).fingerprint,
        StateConfig(n_event_ids=99).fingerprint,
        StateConfig(n_subsequences=63).fingerprint,
        StateConfig(n_subsequence_behaviors=49).fingerprint,
        StateConfig(late_after_ms=1).fingerprint,
    }
    assert len(fingerprints) == 10
    assert all(len(fingerprint) == 16 for fingerprint in fingerprints)


def test_the_fingerprint_of_the_defaults_is_the_released_one() -> None:
    assert StateConfig().fingerprint == "72092a36165dcae7"


@pytest.mark.parametrize(
    "fields",
    [
        {"event_types": ()},
        {"event_types": ("click", "click")},
        {"event_types": ("click",)},
        {"memory_types": ("unheard of",)},
        {"n_behaviors": 0},
        {"n_subsequences": 70_000},
        {"late_after_ms": -1},
    ],
)
def test_impossible_rules_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        StateConfig(**fields)


def test_types_feed_what_is_configured() -> None:
    config = StateConfig(subsequence_types=("click",), memory_types=("view", "dislike"))
    feeds = feeds_by_type(config)
    assert feeds[0] == 0
    assert feeds[1] == FEEDS_BEHAVIORS | FEEDS_SUBSEQUENCE
    assert feeds[2] == FEEDS_BEHAVIORS | FEEDS_MEMORY
    assert feeds[7] == FEEDS_MEMORY
    assert not feeds[8:].any()


def test_rules_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"n_behaviors": 20}')
    assert load_state_config(path) == StateConfig(n_behaviors=20)
    assert load_state_config(None) == StateConfig()
    for text in ('{"n_behaviours": 20}', '{"n_behaviors": "20"}', "[", '{"n_behaviors": 0}'):
        path.write_text(text)
        with pytest.raises(ConfigurationError):
            load_state_config(path)
    for text, way_out in (
        ('{"event_types": ["open"]}', "give behavior_types beside it"),
        ('{"types": ["open"]}', "one JSON object of event_types, behavior_types,"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigurationError) as refused:
            load_state_config(path)
        assert way_out in refused.value.hint
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_state_config(tmp_path / "missing")
