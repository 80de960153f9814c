"""The Python client and ``uic state`` against a real Kafka and a real worker."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from worker_process import WorkerProcess, wait_until

from interest_center.cli import cli
from interest_center.client import (
    BadRequestError,
    InterestClient,
    PushError,
    WorkerUnreachableError,
    pushing,
)
from interest_center.core.events import BehaviorEvent
from interest_center.settings import Settings
from models.bundle import untrained_bundle

pytestmark = pytest.mark.kafka

TIME_MS = 1_700_000_000_000
#: Every character of it has to be quoted in a path.
ODD_USER = "\u00fc %20?#&+"
NOBODY = "http://127.0.0.1:1"


def wait_for_count(client: InterestClient, user_id: str, n_events: int) -> dict[str, Any]:
    wait_until(
        lambda: client.interest(user_id)["event_count"] == n_events,
        f"{n_events} events of {user_id}",
        20,
    )
    return client.interest(user_id)


def run_state(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["state", *arguments], env={"COLUMNS": "100"})


def test_events_are_pushed_asked_for_and_erased(
    worker_settings: Settings, start: Callable[..., WorkerProcess]
) -> None:
    worker = start().wait_ready()
    with InterestClient(worker_settings, [NOBODY, worker.url]) as client:
        first = client.push(user_id=ODD_USER, item_id="i0", event_type="click", event_id="e0")
        place = first.result(20)
        assert (place.event_id, place.offset, 0 <= place.partition < 4) == ("e0", 0, True)
        again = client.push(user_id=ODD_USER, item_id="i0", event_type="click", event_id="e0")
        assert again.result(20).offset == 1
        assert not again.cancel()
        many: list[Any] = [
            {"user_id": ODD_USER, "item_id": "i1", "event_type": "cart", "category_id": "c d"},
            BehaviorEvent("e2", ODD_USER, "i2", "view", TIME_MS, page=1, price=2.5),
            {"user_id": "other", "item_id": "i3", "event_type": "purchase"},
        ]
        # The second one is years behind the first, and dropped as late.
        assert client.push_many(many) == 3
        state = wait_for_count(client, ODD_USER, 2)
        assert state["user_id"] == ODD_USER
        assert [behavior["item_id"] for behavior in state["behaviors"]] == ["i1", "i0"]
        assert {name: n for name, n in state["counts"].items() if n} == {"click": 1, "cart": 1}
        category = client.category(ODD_USER, "c d")
        assert [behavior["item_id"] for behavior in category["behaviors"]] == ["i1"]
        assert client.category(ODD_USER, "none")["behaviors"] == []
        wait_for_count(client, "other", 1)
        found = client.batch_get(["other", "unknown", ODD_USER])
        assert [(one["user_id"], one["event_count"]) for one in found] == [
            ("other", 1), ("unknown", 0), (ODD_USER, 2),
        ]  # fmt: skip
        counters = worker.counters()
        assert (counters["applied"], counters["duplicate"], counters["late_dropped"]) == (3, 1, 1)
        with pytest.raises(BadRequestError, match="1 to 256 characters") as refused:
            client.batch_get(["other", ""])
        assert refused.value.field == "user_ids[1]"
        with pytest.raises(BadRequestError, match="field page") as refused:
            client.push_many([many[2], many[2] | {"page": "first"}])
        assert refused.value.field == "page"
        client.erase(ODD_USER).result(20)
        client.push(user_id="other", item_id="i4", event_type="click")
        client.flush(20)
        assert wait_for_count(client, ODD_USER, 0)["behaviors"] == []
        # The event before the bad one was pushed, as the docstring says.
        assert wait_for_count(client, "other", 3)["behaviors"][0]["item_id"] == "i4"
        client.push(user_id="last", item_id="i", event_type="click")
    # Leaving the block has waited for it.
    assert wait_for_count(client, "last", 1)


def test_uic_state_shows_a_user(
    worker_settings: Settings, start: Callable[..., WorkerProcess], tmp_path: Path
) -> None:
    untrained_bundle(tmp_path / "bundle")
    worker = start(bundle=tmp_path / "bundle").wait_ready()
    with InterestClient(worker_settings, [worker.url]) as client:
        client.push_many(
            {
                "user_id": "u",
                "item_id": f"[red]i{n}",
                "event_type": "click" if n % 2 else "cart",
                "category_id": f"c{n % 3}",
                "event_time_ms": TIME_MS + 1000 * n,
            }
            for n in range(20)
        )
        wait_for_count(client, "u", 20)
    shown = run_state("u", "--url", worker.url)
    assert shown.exit_code == 0, shown.output
    for text in (
        "user u   events: 20 (10 click, 10 cart)",
        "as of 2023-11-14 22:13:39",
        "every event before offset 20",
        "recent behaviors (20)",
        "2023-11-14 22:13:39 \u2502 click \u2502 [red]i19 \u2502 c1",
        "and 5 older; --json shows all",
        "sub-sequences by category (3)",
        "long-term memory (",
    ):
        assert text in shown.output
    assert "[red]i4" not in shown.output
    one = run_state("u", "--category", "c2", "--url", worker.url)
    assert "u in category c2 (6)" in one.output
    assert [f"[red]i{n}" in one.output for n in (2, 17, 3)] == [True, True, False]
    as_json = run_state("u", "--json", "--url", NOBODY, "--url", worker.url)
    assert json.loads(as_json.output)["event_count"] == 20
    assert json.loads(as_json.output)["memory"]["slot_norms"]
    in_category = run_state("u", "--category", "c2", "--json", "--url", worker.url)
    assert len(json.loads(in_category.output)["behaviors"]) == 6
    nobody = run_state("nobody", "--url", worker.url)
    assert nobody.exit_code == 0
    assert "user nobody   events: 0" in nobody.output
    assert "no events of this user: the state is empty" in nobody.output


def test_without_worker_or_kafka_it_says_what_to_do(
    kafka: str, worker_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = InterestClient(worker_settings, [NOBODY], wait_seconds=0.3)
    for ask in (client.interest, lambda user: client.batch_get([user])):
        with pytest.raises(WorkerUnreachableError, match=f"no interest worker answers at {NOBODY}"):
            ask("u")
    shown = run_state("u", "--url", NOBODY, "--wait", "0")
    assert shown.exit_code == 2
    assert f"error: no interest worker answers at {NOBODY}" in shown.output
    assert "next: `uic worker`, or set UIC_WORKER_URLS" in shown.output
    shown = run_state("u", "--url", "127.0.0.1:1")
    assert (shown.exit_code, "next: write it as http://127.0.0.1:1" in shown.output) == (2, True)
    monkeypatch.setattr(pushing, "METADATA_SECONDS", 0.5)
    event = {"user_id": "u", "item_id": "i", "event_type": "click"}
    for changed, said, hint in (
        ({"kafka_bootstrap_servers": "127.0.0.1:1"}, "no Kafka at 127.0.0.1:1", "uic broker start"),
        ({"events_topic": "missing"}, "there is no topic missing", "uic topics create"),
    ):
        lost = InterestClient(worker_settings.model_copy(update=changed))
        with pytest.raises(PushError, match=said) as failed:
            lost.push_many([event])
        assert hint in failed.value.hint
        lost.close()
