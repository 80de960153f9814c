"""The ranking worker over HTTP, with the HTTP of interest workers and their engine behind it."""

import asyncio
import json
import signal
import socket
import time
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from interest_nodes import Cluster, worker_node
from ranking_requests import MALFORMED
from ranking_worker import (
    CANDIDATES,
    TIME_MS,
    RankingWorker,
    brought,
    command,
    history,
    running,
    scores,
)

from interest_center.core.ids import encode_id
from models.bundle import Bundle
from models.inputs import RankInputs
from ranking.rankings import MAX_AT_ONCE
from streams.ports import HOST, choose_ports


async def test_a_ranking_is_made_from_the_live_state(bundle: Bundle) -> None:
    cluster = Cluster(bundle.updater)
    cluster.push(history("u1", 120))
    async with (
        worker_node(cluster, {0, 1}) as one,
        worker_node(cluster, {2, 3}),
        running(bundle, [one.url]) as ranker,
    ):
        before = await ranker.rank("u1")
        assert before["degraded"] is None
        assert before["history"] == "state"
        assert (before["as_of"], before["age_ms"]) == (TIME_MS - 60_000, 60_000)
        assert before["watermark"] == 120
        assert before["model"] == bundle.fingerprint
        assert [item["rank"] for item in before["items"]] == list(range(1, 41))
        ordered = [(-item["score"], item["item_id"]) for item in before["items"]]
        assert ordered == sorted(ordered)
        cluster.push([history("u1", 1)[0] | {"event_time_ms": TIME_MS}])
        after = await ranker.rank("u1")
        assert (after["as_of"], after["watermark"]) == (TIME_MS, 121)
        assert scores(after) != scores(before)


async def test_scores_are_those_of_the_model_for_the_plain_history(bundle: Bundle) -> None:
    events = history("7", 130)
    cluster = Cluster(bundle.updater)
    cluster.push(events)
    async with worker_node(cluster, {0, 1, 2, 3}) as node, running(bundle, [node.url]) as ranker:
        pushed = await ranker.rank("7", page=1, trigger="5")
        unknown = await ranker.rank("nobody", page=1, trigger="5", events=brought(events))
    assert unknown["history"] == "request"
    assert unknown["degraded"] is None
    assert scores(unknown) == pytest.approx(scores(pushed), abs=1e-9)
    assert bundle.updater is not None
    row = bundle.updater.initial_row()[None, :].copy()
    items = np.array([encode_id(event["item_id"]) for event in events], np.uint64)
    categories = np.array([int(event["category_id"]) for event in events], np.uint64)
    bundle.updater.update_many(row, np.zeros(130, np.int64), items, categories)
    inputs = RankInputs(
        behavior_items=items[-100:],
        behavior_categories=categories[-100:],
        behavior_types=np.ones(100, np.uint8),
        behavior_times_ms=np.array([event["event_time_ms"] for event in events[-100:]]),
        memory=row[0],
        candidate_items=np.arange(1, 41, dtype=np.uint64),
        candidate_categories=np.zeros(40, np.uint64),
        time_ms=TIME_MS,
        page=1,
        trigger_item=5,
    )
    expected = dict(zip(map(str, range(1, 41)), bundle.ranker.score(inputs), strict=True))
    assert scores(pushed) == pytest.approx(expected, abs=1e-6)


async def test_a_memory_of_other_weights_is_never_read(
    bundle: Bundle, other_bundle: Bundle
) -> None:
    cluster = Cluster(other_bundle.updater)
    cluster.push(history("u1", 50))
    plain = Cluster(None)
    plain.push(history("u1", 50))
    async with worker_node(cluster, {0, 1, 2, 3}) as node, running(bundle, [node.url]) as ranker:
        mismatched = await ranker.rank("u1")
        fallbacks = await ranker.count("uic_rank_fallbacks_total", reason="memory_mismatch")
        new = await ranker.rank("new")
    async with worker_node(plain, {0, 1, 2, 3}) as node, running(bundle, [node.url]) as ranker:
        without = await ranker.rank("u1")
    assert mismatched["degraded"] == "memory_mismatch"
    assert fallbacks >= 1
    assert without["degraded"] == "memory_not_built"
    assert scores(mismatched) == scores(without)
    assert new["degraded"] is None


async def test_a_late_state_is_not_waited_for(bundle: Bundle) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with running(bundle, [url], deadline_seconds=0.05) as ranker:
            await ranker.rank("u1")
            counted = await ranker.count("uic_rank_requests_total", result="degraded")
            started = time.monotonic()
            answer = await ranker.rank("u1", events=brought(history("u1", 3)))
            assert time.monotonic() - started < 1.0
            assert answer["degraded"] == "state_timeout"
            assert answer["history"] == "request"
            assert answer["watermark"] is None
            now = await ranker.count("uic_rank_requests_total", result="degraded")
            assert now == counted + 1


async def test_too_many_at_once_are_refused_at_once_and_the_queue_is_measured(
    bundle: Bundle,
) -> None:
    body = json.dumps({"user_id": "u1", "candidates": CANDIDATES}).encode()
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with running(bundle, [url], deadline_seconds=2.0) as ranker:
            counted = await ranker.count("uic_rank_requests_total", result="rejected")
            waited = await ranker.count("uic_rank_seconds_sum", stage="queue")
            answers = await asyncio.gather(*(ranker.post(body) for _ in range(MAX_AT_ONCE + 3)))
            assert sorted(status for status, _ in answers) == [200] * MAX_AT_ONCE + [429] * 3
            refused = next(answer for status, answer in answers if status == 429)
            assert refused["retry_after_seconds"] > 0
            assert f"{MAX_AT_ONCE} rankings" in refused["error"]
            now = await ranker.count("uic_rank_requests_total", result="rejected")
            assert now == counted + 3
            # All were late together and then waited for one thread: the last for all the others.
            scored = await ranker.count("uic_rank_seconds_count", stage="score")
            assert await ranker.count("uic_rank_seconds_count", stage="queue") == scored
            assert await ranker.count("uic_rank_seconds_sum", stage="queue") - waited > 1.0
            assert (await ranker.post(body))[0] == 200


async def test_without_workers_it_is_not_ready_and_says_so_in_every_answer(
    bundle: Bundle,
) -> None:
    cluster = Cluster(bundle.updater)
    address = (HOST, *choose_ports(0))
    async with running(bundle, [f"http://127.0.0.1:{address[1]}"]) as ranker:
        status, _ = await ranker.get("/health/ready")
        assert status == 503
        assert (await ranker.get("/health/live"))[0] == 200
        answer = await ranker.rank("u1")
        assert (answer["degraded"], answer["history"]) == ("state_unavailable", "none")
        listener = socket.create_server(address)
        async with worker_node(cluster, {0, 1, 2, 3}, listener):
            deadline = time.monotonic() + 10
            while (await ranker.get("/health/ready"))[0] != 200:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            assert (await ranker.rank("u1"))["degraded"] is None
        assert (await ranker.get("/health/ready"))[0] == 200


@pytest.fixture(scope="module")
def malformed() -> dict[str, tuple[bytes, str]]:
    extra = {
        "unknown event type": (
            json.dumps(
                {
                    "user_id": "u1",
                    "candidates": CANDIDATES,
                    "events": [{"item_id": "1", "event_time_ms": TIME_MS, "event_type": "glance"}],
                }
            ).encode(),
            "events[0].event_type",
        )
    }
    return MALFORMED | extra


async def test_every_malformed_request_is_refused_by_its_field(
    bundle: Bundle, malformed: dict[str, tuple[bytes, str]]
) -> None:
    cluster = Cluster(bundle.updater)
    async with worker_node(cluster, {0, 1, 2, 3}) as node, running(bundle, [node.url]) as ranker:
        counted = await ranker.count("uic_rank_requests_total", result="bad_request")
        for name, (body, field) in malformed.items():
            status, answer = await ranker.post(body)
            if name == "too large":
                assert status == 413, name
            else:
                assert (status, answer.get("field")) == (400, field), (name, answer)
            assert "Traceback" not in json.dumps(answer), name
            assert answer["error"], name
        now = await ranker.count("uic_rank_requests_total", result="bad_request")
        assert now == counted + len(malformed)
        assert await ranker.count("uic_rank_requests_total", result="failed") == 0
        assert (await ranker.post(b"{}", **{"content-type": "text/csv"}))[0] == 415
        assert (await ranker.rank("u1"))["degraded"] is None


async def test_bids_top_k_and_a_clock_of_its_own(bundle: Bundle) -> None:
    cluster = Cluster(bundle.updater)
    cluster.push(history("u1", 5))
    bids = [{"item_id": str(i), "bid": float(i)} for i in range(1, 30)]
    async with worker_node(cluster, {0, 1, 2, 3}) as node, running(bundle, [node.url]) as ranker:
        answer = await ranker.rank("u1", candidates=bids, top_k=3, time_ms=None)
    assert len(answer["items"]) == 3
    assert answer["age_ms"] == 60_000
    for item in answer["items"]:
        assert item["score"] == item["probability"] * float(item["item_id"])


async def test_the_openapi_page_describes_the_request(bundle: Bundle) -> None:
    async with running(bundle, ["http://127.0.0.1:1"]) as ranker:
        status, text = await ranker.get("/schema/openapi.json")
        assert (await ranker.get("/schema"))[0] == 200
    document = json.loads(text)
    assert status == 200
    operation = document["paths"]["/v1/rank"]["post"]
    body = operation["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/RankRequest"}
    assert len(body["examples"]) == 3
    schemas = document["components"]["schemas"]
    assert schemas["RankRequest"]["required"] == ["user_id", "candidates"]
    assert {"Candidate", "Trigger", "RequestEvent", "RankAnswer", "RankedItem"} <= set(schemas)
    assert set(operation["responses"]) == {"200", "400", "408", "413", "415", "429"}
    media_types = {"application/json", "application/msgpack"}
    assert set(operation["requestBody"]["content"]) == media_types
    assert set(operation["responses"]["200"]["content"]) == media_types


async def test_the_process_ranks_and_ends_cleanly(bundle_directory: Path, bundle: Bundle) -> None:
    cluster = Cluster(bundle.updater)
    cluster.push(history("u1", 20))
    (port,) = choose_ports(0)
    async with worker_node(cluster, {0, 1, 2, 3}) as node, aiohttp.ClientSession() as session:
        process = command(
            "ranker", "--bundle", str(bundle_directory), "--port", str(port),
            "--worker-urls", node.url, "--deadline-ms", "2000",
        )  # fmt: skip
        ranker = RankingWorker(f"http://127.0.0.1:{port}", session)
        try:
            deadline = time.monotonic() + 120
            while not await is_ready(ranker):
                assert process.poll() is None
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
            answer = await ranker.rank("u1")
            assert (answer["degraded"], answer["model"]) == (None, bundle.fingerprint)
        finally:
            process.send_signal(signal.SIGTERM)
            output, _ = await asyncio.to_thread(process.communicate, timeout=30)
    assert process.returncode == 0, output
    assert "Traceback" not in output


async def is_ready(ranker: RankingWorker) -> bool:
    try:
        return (await ranker.get("/health/ready"))[0] == 200
    except aiohttp.ClientConnectionError:
        return False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["needs a model bundle", "uic train", "--bundle"]),
        (("--bundle", "nowhere"), ["nowhere"]),
    ],
    ids=["none", "missing"],
)
def test_a_ranker_without_bundle_says_what_to_do(
    arguments: tuple[str, ...], words: list[str], tmp_path: Path
) -> None:
    process = command("ranker", *arguments)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert "Traceback" not in output
    for word in words:
        assert word in output


def test_a_taken_port_says_what_to_do(bundle_directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = command("ranker", "--bundle", str(bundle_directory), "--port", port)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert "--port" in output
    assert "Traceback" not in output
