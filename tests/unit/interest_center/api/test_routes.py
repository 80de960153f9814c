"""What a worker answers over HTTP, without Kafka: any id, any owner, every result counted."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from interest_nodes import N_PARTITIONS, Cluster, worker_node
from yarl import URL

from interest_center import metrics

ODD_IDS = ("a/b", "a%2Fb", "100%", "ü & ö", "?x=1", "..", ".", "a b", "#1", ":batchGet", "字")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def get(http: aiohttp.ClientSession, url: str) -> tuple[int, Any]:
    async with http.get(URL(url, encoded=True)) as response:
        return response.status, await response.json(content_type=None)


def click(user_id: str, category_id: str) -> dict[str, Any]:
    return {
        "user_id": user_id,
        "item_id": "7",
        "category_id": category_id,
        "event_type": "click",
        "event_time_ms": 1_700_000_000_000,
    }


def n_queries(result: str) -> float:
    return metrics.QUERIES.labels("interest", result)._value.get()


@pytest.mark.parametrize("odd", ODD_IDS)
async def test_an_id_may_hold_any_character(odd: str, http: aiohttp.ClientSession) -> None:
    cluster = Cluster(None)
    cluster.push([click(odd, odd)])
    # Asked at the one that has to forward, so that the path travels twice.
    async with worker_node(cluster, set(range(N_PARTITIONS))), worker_node(cluster, set()) as node:
        user = f"{node.url}/v1/users/{quote(odd, safe='')}"
        status, interest = await get(http, f"{user}/interest")
        assert (status, interest["user_id"], interest["event_count"]) == (200, odd, 1)
        assert [c["category_id"] for c in interest["categories"]] == [odd]
        status, category = await get(http, f"{user}/categories/{quote(odd, safe='')}")
        assert (status, category["category_id"]) == (200, odd)
        assert [b["item_id"] for b in category["behaviors"]] == ["7"]


async def test_an_id_that_is_no_text_is_refused_by_its_field(http: aiohttp.ClientSession) -> None:
    async with worker_node(Cluster(None), {0, 1, 2, 3}) as node:
        status, answer = await get(http, f"{node.url}/v1/users/%FF/interest")
        assert (status, answer["field"]) == (400, "user_id")


async def test_a_refused_method_is_told_which_are_not(http: aiohttp.ClientSession) -> None:
    async with (
        worker_node(Cluster(None), {0, 1, 2, 3}) as node,
        http.delete(f"{node.url}/v1/users/u/interest") as answer,
    ):
        assert answer.status == 405
        assert "GET" in answer.headers["allow"]
        assert (await answer.json())["error"] == "method not allowed"


async def test_the_openapi_page_names_every_field_of_a_category(
    http: aiohttp.ClientSession,
) -> None:
    cluster = Cluster(None)
    cluster.push([click("u", "c")])
    async with worker_node(cluster, {0, 1, 2, 3}) as node:
        _, page = await get(http, f"{node.url}/schema/openapi.json")
        _, interest = await get(http, f"{node.url}/v1/users/u/interest")
    described = page["components"]["schemas"]["Category"]["properties"]
    assert set(described) == set(interest["categories"][0])


async def test_a_refusal_of_the_owner_is_counted_as_one(http: aiohttp.ClientSession) -> None:
    cluster = Cluster(None)
    async with (
        worker_node(cluster, set(range(N_PARTITIONS))) as owner,
        worker_node(cluster, set()) as asked,
    ):
        owner.is_ready = False
        before = n_queries("not_ready")
        status, _ = await get(http, f"{asked.url}/v1/users/u/interest")
        assert status == 503
        # Both are in this process: the owner counts its refusal, and so does the one asked.
        assert n_queries("not_ready") == before + 2
