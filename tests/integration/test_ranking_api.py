"""What a ranking request may ask for beside an order, over HTTP; the Open Inference Protocol."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from interest_nodes import Cluster, worker_node
from ranking_worker import CANDIDATES, TIME_MS, RankingWorker, brought, history, running, scores

from models.bundle import Bundle

MSGPACK = "application/msgpack"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
async def ranker(bundle: Bundle, other_bundle: Bundle) -> AsyncIterator[RankingWorker]:
    """Run a ranking worker with two models; user u1 has clicked 120 times."""
    cluster = Cluster(bundle.updater)
    cluster.push(history("u1", 120))
    async with (
        worker_node(cluster, {0, 1, 2, 3}) as node,
        running(bundle, [node.url], other=other_bundle) as worker,
    ):
        yield worker


async def test_an_explanation_is_what_really_happens_without_each_part(
    ranker: RankingWorker,
) -> None:
    answer = await ranker.rank("u1", top_k=3, explain=True, trigger="5")
    told = answer["explanation"]
    assert [item["item_id"] for item in told["items"]] == [i["item_id"] for i in answer["items"]]
    assert len(told["behaviors"]) == 100
    assert told["behaviors"][-1]["event_time_ms"] == TIME_MS - 60_000
    assert told["p_trigger"] is None, "this model does not say it"
    for item in told["items"]:
        assert len(item["attention"]) == len(item["without_behavior"]) == 100
        assert sum(item["slots"]) == pytest.approx(1.0, abs=1e-5)
        assert all(value > 0 for value in item["slots"])
    # A user who comes with the same behaviors but one, and one without the trigger.
    events = brought(history("u1", 120))
    whole = await ranker.rank("stranger", events=events, trigger="5", top_k=3, explain=True)
    assert scores(whole) == pytest.approx(scores(answer), abs=1e-6)
    without = await ranker.rank("stranger", events=events)
    for item in told["items"]:
        really = scores(answer)[item["item_id"]] - scores(without)[item["item_id"]]
        assert item["without_trigger"] == pytest.approx(really, abs=1e-6)


async def test_nothing_left_is_explained_as_nothing(ranker: RankingWorker) -> None:
    bids = [one | {"bid": 1.0} for one in CANDIDATES]
    answer = await ranker.rank("u1", candidates=bids, reserve=10.0, top_k=3, explain=True)
    assert answer["items"] == []
    assert answer["n_left_out"] == len(CANDIDATES)
    assert answer["explanation"] == {"behaviors": [], "items": [], "p_trigger": None}


async def test_seen_items_and_items_below_the_reserve_are_left_out(ranker: RankingWorker) -> None:
    everything = await ranker.rank("u1")
    unseen = await ranker.rank("u1", exclude_seen=True)
    seen = {event["item_id"] for event in history("u1", 120)[-100:]}
    assert everything["n_left_out"] == 0
    assert {item["item_id"] for item in unseen["items"]} == {
        one["item_id"] for one in CANDIDATES if one["item_id"] not in seen
    }
    assert unseen["n_left_out"] == len(CANDIDATES) - len(unseen["items"]) > 0
    bids = [one | {"bid": 2.0} for one in CANDIDATES]
    middle = sorted(scores(everything).values())[20]
    some = await ranker.rank("u1", candidates=bids, reserve=2 * middle)
    assert len(some["items"]) == 20
    assert some["n_left_out"] == 20


async def test_a_request_chooses_its_model(
    ranker: RankingWorker, bundle: Bundle, other_bundle: Bundle
) -> None:
    first = await ranker.rank("u1")
    named = await ranker.rank("u1", model="default")
    other = await ranker.rank("u1", model="other")
    assert first == named
    assert (first["model"], other["model"]) == (bundle.fingerprint, other_bundle.fingerprint)
    assert other["degraded"] == "memory_mismatch"
    assert scores(first) != scores(other)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": "newest"}, "model"),
        ({"reserve": 1.0}, "reserve"),
        ({"reserve": -1}, "reserve"),
        ({"explain": True}, "top_k"),
        ({"explain": 1}, "explain"),
        ({"exclude_seen": "yes"}, "exclude_seen"),
    ],
)
async def test_what_cannot_be_asked_for_is_told(
    ranker: RankingWorker, fields: dict[str, Any], field: str
) -> None:
    request = {"user_id": "u1", "candidates": CANDIDATES} | fields
    status, answer = await ranker.post(json.dumps(request).encode())
    assert (status, answer["field"]) == (400, field)


async def test_messagepack_says_the_same_as_json(ranker: RankingWorker) -> None:
    request = {"user_id": "u1", "candidates": CANDIDATES, "time_ms": TIME_MS, "page": 1}
    plain = await ranker.rank("u1", page=1)
    status, packed = await post_packed(ranker, msgspec.msgpack.encode(request))
    assert status == 200
    assert msgspec.msgpack.decode(packed) == plain
    for body, field in (
        (msgspec.msgpack.encode(request | {"page": -1}), "page"),
        (msgspec.msgpack.encode(request)[:-3], "body"),
        (b"\xc1", "body"),
        (msgspec.msgpack.encode(request | {"candidates": [
            {"item_id": "1", "bid": float("nan")}
        ]}), "candidates[0].bid"),
    ):  # fmt: skip
        status, answer = await post_packed(ranker, body)
        assert (status, json.loads(answer)["field"]) == (400, field)


async def post_packed(ranker: RankingWorker, body: bytes) -> tuple[int, bytes]:
    async with ranker.session.post(
        f"{ranker.url}/v1/rank", data=body, headers={"content-type": MSGPACK}
    ) as response:
        return response.status, await response.read()


async def post_json(ranker: RankingWorker, path: str, body: Any) -> tuple[int, Any]:
    async with ranker.session.post(ranker.url + path, json=body) as response:
        return response.status, await response.json()


async def test_a_batch_is_answered_as_if_each_had_come_alone(ranker: RankingWorker) -> None:
    requests = [
        {"user_id": "u1", "candidates": CANDIDATES, "time_ms": TIME_MS, "top_k": k}
        for k in (1, 5, 40)
    ]
    status, batch = await post_json(ranker, "/v1/rank:batch", {"requests": requests})
    assert status == 200
    assert batch["answers"] == [await ranker.rank("u1", top_k=k) for k in (1, 5, 40)]
    for wrong, field in (
        ([*requests, {"user_id": "u1"}], "requests[3].candidates"),
        ([requests[0], requests[1] | {"reserve": 1}], "requests[1].reserve"),
        ([requests[0], requests[1] | {"model": "none"}], "requests[1].model"),
        ([requests[0], requests[1] | {"explain": True}], "requests[1].explain"),
        ([], "requests"),
        ([requests[0]] * 101, "requests"),
    ):
        status, answer = await post_json(ranker, "/v1/rank:batch", {"requests": wrong})
        assert (status, answer["field"]) == (400, field)


async def test_the_trace_is_passed_on_to_the_worker_when_it_is_well_formed(
    ranker: RankingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[Any] = []
    post = aiohttp.ClientSession.post

    def watched(self: aiohttp.ClientSession, url: str, **given: Any) -> Any:
        if url.endswith("/v1/states:multiGet"):
            passed.append(given["headers"])
        return post(self, url, **given)

    monkeypatch.setattr(aiohttp.ClientSession, "post", watched)
    body = json.dumps({"user_id": "u1", "candidates": CANDIDATES}).encode()
    await ranker.post(body, traceparent=TRACE, tracestate="shop=1")
    await ranker.post(body, traceparent="nonsense")
    assert passed == [{"traceparent": TRACE, "tracestate": "shop=1"}, {}]


def columns(**more: Any) -> dict[str, Any]:
    """Return an inference of the Open Inference Protocol."""
    n = len(CANDIDATES)
    items = [one["item_id"] for one in CANDIDATES]
    inputs = [
        {"name": "user_id", "shape": [1], "datatype": "BYTES", "data": ["u1"]},
        {"name": "item_id", "shape": [n], "datatype": "BYTES", "data": items},
        {"name": "time_ms", "shape": [1, 1], "datatype": "INT64", "data": [TIME_MS]},
    ]
    return {"id": "one", "inputs": inputs} | more


async def test_the_open_inference_protocol_gives_the_same_scores(
    ranker: RankingWorker, bundle: Bundle
) -> None:
    plain = await ranker.rank("u1")
    status, answer = await post_json(ranker, "/v2/models/default/infer", columns())
    assert status == 200
    assert (answer["id"], answer["model_version"]) == ("one", bundle.fingerprint)
    by_name = {tensor["name"]: tensor["data"] for tensor in answer["outputs"]}
    assert by_name["probability"] == [scores(plain)[one["item_id"]] for one in CANDIDATES]
    assert answer["parameters"]["history"] == "state"
    path = f"/v2/models/default/versions/{bundle.fingerprint}/infer"
    status, again = await post_json(ranker, path, columns(outputs=[{"name": "score"}]))
    assert [tensor["name"] for tensor in again["outputs"]] == ["score"]


async def test_the_open_inference_protocol_tells_what_there_is(
    ranker: RankingWorker, bundle: Bundle
) -> None:
    for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/other/ready"):
        assert (await ranker.get(path))[0] == 200
    told = json.loads((await ranker.get("/v2/models/default"))[1])
    assert told["versions"] == [bundle.fingerprint]
    assert {"name": "item_id", "datatype": "BYTES", "shape": [-1]} in told["inputs"]
    assert (await ranker.get("/v2/models/none"))[0] == 404
    assert (await ranker.get("/v2/models/default/versions/1/ready"))[0] == 404


def column(name: str, kind: str, *data: Any) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": kind, "data": list(data)}


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ([column("user_id", "BYTES", "u1")], "inputs"),
        ([column("user_id", "BYTES", "u1"), column("item_id", "BYTES", "1", "")],
         "inputs[1].data[1]"),
        ([column("user_id", "BYTES", "u1"), column("item_id", "INT64", 1)], "inputs[1].datatype"),
        ([column("user_id", "BYTES", "u1"), column("item_id", "BYTES", 1)], "inputs[1].data[0]"),
        ([column("user_id", "BYTES", "u1", "u2"), column("item_id", "BYTES", "1")],
         "inputs[0].data"),
        ([column("user_id", "BYTES", "u1"), column("item_id", "BYTES", "1", "2"),
          column("bid", "FP64", 1.0)], "inputs[2].data"),
        ([column("user_id", "BYTES", "u1"), column("item_id", "BYTES", "1", "1")],
         "inputs[1].data[1]"),
        ([column("user_id", "BYTES", "u1"), column("user_id", "BYTES", "u1")], "inputs[1].name"),
        ([column("color", "BYTES", "red")], "inputs[0].name"),
        ([column("user_id", "BYTES", "u1"), column("item_id", "BYTES", "1"),
          column("page", "INT64", -1)], "inputs[2].data[0]"),
        ([column("user_id", "BYTES", "u1") | {"shape": [2]}], "inputs[0].shape"),
        ([], "inputs"),
    ],
)  # fmt: skip
async def test_wrong_columns_are_refused_by_their_place(
    ranker: RankingWorker, inputs: list[Any], field: str
) -> None:
    status, answer = await post_json(ranker, "/v2/models/default/infer", {"inputs": inputs})
    assert (status, answer["field"]) == (400, field), answer
    assert answer["error"]
