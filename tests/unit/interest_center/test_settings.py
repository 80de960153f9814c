"""Settings: where they come from, and values that would mislead other workers."""

from pathlib import Path

import pytest

from interest_center.core.errors import ConfigurationError
from interest_center.settings import load_settings


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UIC_BUNDLE", "")
    monkeypatch.setenv("UIC_PARTITIONS", "")
    assert load_settings().bundle is None
    assert load_settings().partitions == 4


def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UIC_PARTITIONS", "none")
    with pytest.raises(ConfigurationError, match="UIC_PARTITIONS"):
        load_settings()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_listening_everywhere_is_no_address(host: str) -> None:
    with pytest.raises(ConfigurationError, match="how others reach it") as refused:
        _ = load_settings(worker_host=host).advertised_url
    assert "UIC_WORKER_ADVERTISED_URL" in refused.value.hint
    named = load_settings(worker_host=host, worker_advertised_url="http://shop-1:8080/")
    assert named.advertised_url == "http://shop-1:8080"


def test_an_ipv6_host_stands_in_brackets() -> None:
    assert load_settings(worker_host="::1", worker_port=81).advertised_url == "http://[::1]:81"


def test_snapshots_are_beside_the_states_unless_off(tmp_path: Path) -> None:
    assert load_settings(home=tmp_path).snapshots == str(tmp_path / "snapshots")
    assert load_settings(snapshot_url="off").snapshots is None
