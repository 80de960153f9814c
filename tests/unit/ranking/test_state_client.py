"""Reading states: in time, from the owner, again when it has moved, and never for ever."""

import asyncio
import math
import socket
import time
from collections.abc import Awaitable, Callable

import msgspec
import numpy as np
import pytest
from aiohttp import web
from interest_nodes import N_PARTITIONS, Cluster, worker_node

from interest_center.core.ids import partition_of
from interest_center.core.messages import StatesAnswer, UserState
from ranking.history import STATE_TIMEOUT, STATE_UNAVAILABLE
from ranking.owners import MIN_INTERVAL_SECONDS, OwnerMap
from ranking.state_client import Patience, StateClient, StateMissingError
from streams.ports import choose_ports

TIME_MS = 1_764_000_000_000
DEADLINE_SECONDS = 2.0

Handler = Callable[[web.Request], Awaitable[web.Response]]


def click(user_id: str, item_id: str = "1") -> dict[str, object]:
    return {
        "user_id": user_id,
        "item_id": item_id,
        "event_type": "click",
        "event_time_ms": TIME_MS,
    }


def users_of_every_partition() -> list[str]:
    """Return one user a partition."""
    found: dict[int, str] = {}
    for number in range(1000):
        found.setdefault(partition_of(f"u{number}".encode(), N_PARTITIONS), f"u{number}")
    return [found[partition] for partition in range(N_PARTITIONS)]


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster(updater=None)
    for user in users_of_every_partition():
        cluster.push([click(user, user)])
    return cluster


async def test_states_come_from_whoever_owns_them(cluster: Cluster) -> None:
    async with (
        worker_node(cluster, {0, 1}) as one,
        worker_node(cluster, {2, 3}),
        StateClient([one.url], DEADLINE_SECONDS) as client,
    ):
        for user in users_of_every_partition():
            state = await client.read(user)
            assert state.user_id == user
            assert state.profile is not None
            assert state.watermark == 1
        assert (await client.read("nobody")).profile is None
        assert client.has_owners


async def test_a_moved_partition_is_followed(cluster: Cluster) -> None:
    user = users_of_every_partition()[0]
    async with (
        worker_node(cluster, {0, 1, 2, 3}) as one,
        worker_node(cluster, set()) as two,
        StateClient([one.url], DEADLINE_SECONDS) as client,
    ):
        await client.read(user)
        cluster.owners[:] = [two.url] * N_PARTITIONS
        assert (await client.read(user)).profile is not None
        await asyncio.sleep(MIN_INTERVAL_SECONDS)
        await client.owners.refresh()
        assert client.owners.owner_of(user) == two.url


async def test_a_dead_owner_is_replaced(cluster: Cluster) -> None:
    async with worker_node(cluster, set()) as two:
        async with worker_node(cluster, {0, 1, 2, 3}) as one:
            urls = [one.url, two.url]
            client = await StateClient(urls, DEADLINE_SECONDS).__aenter__()
            user = users_of_every_partition()[0]
            await client.read(user)
            assert client.owners.owner_of(user) == one.url
        cluster.owners[:] = [two.url] * N_PARTITIONS
        await asyncio.sleep(0.2)
        assert (await client.read(user)).profile is not None
        assert client.owners.owner_of(user) == two.url
        await client.__aexit__()


async def test_a_recovering_partition_is_unavailable_and_not_asked_for_ever(
    cluster: Cluster,
) -> None:
    async with (
        worker_node(cluster, {0, 1, 2, 3}) as node,
        StateClient([node.url], DEADLINE_SECONDS) as client,
    ):
        await client.read("u1")
        node.is_ready = False
        node.questions.clear()
        for _ in range(50):
            with pytest.raises(StateMissingError) as missing:
                await client.read("u1")
            assert missing.value.reason == STATE_UNAVAILABLE
        assert len(node.questions) < 25
        node.is_ready = True
        assert (await client.read("u1")).user_id == "u1"


async def test_nobody_there_is_unavailable_and_said_at_once() -> None:
    url = f"http://127.0.0.1:{choose_ports(0)[0]}"
    async with StateClient([url], DEADLINE_SECONDS) as client:
        started = time.monotonic()
        with pytest.raises(StateMissingError) as missing:
            await client.read("u1")
        assert missing.value.reason == STATE_UNAVAILABLE
        assert time.monotonic() - started < DEADLINE_SECONDS
        assert not client.has_owners


async def test_a_partition_without_owner_is_unavailable(cluster: Cluster) -> None:
    users = users_of_every_partition()
    async with (
        worker_node(cluster, {0, 1, 2}) as node,
        StateClient([node.url], DEADLINE_SECONDS) as client,
    ):
        assert (await client.read(users[0])).profile is not None
        with pytest.raises(StateMissingError) as missing:
            await client.read(users[3])
        assert missing.value.reason == STATE_UNAVAILABLE


async def serve_raw(handler: Handler) -> tuple[web.AppRunner, str]:
    """Serve a worker that says what it likes to the multi-get."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    async def partitions(_: web.Request) -> web.Response:
        owners = [{"partition": p, "owner_url": url} for p in range(N_PARTITIONS)]
        return web.json_response({"n_partitions": N_PARTITIONS, "partitions": owners})

    app = web.Application()
    app.router.add_get("/v1/partitions", partitions)
    app.router.add_post("/v1/states:multiGet", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return runner, url


async def test_a_late_answer_is_not_waited_for() -> None:
    async def late(_: web.Request) -> web.Response:
        await asyncio.sleep(2)
        return web.Response()

    runner, url = await serve_raw(late)
    async with StateClient([url], 0.05) as client:
        await client.owners.refresh()
        started = time.monotonic()
        with pytest.raises(StateMissingError) as missing:
            await client.read("u1")
        assert missing.value.reason == STATE_TIMEOUT
        assert time.monotonic() - started < 1.0
    await runner.cleanup()


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xff", b"\x81\xa6states\x90", b'{"states": []}'],
    ids=["empty", "garbage", "no state", "json"],
)
async def test_an_answer_that_is_none_is_not_read(body: bytes) -> None:
    async def nonsense(_: web.Request) -> web.Response:
        return web.Response(body=body)

    runner, url = await serve_raw(nonsense)
    async with StateClient([url], DEADLINE_SECONDS) as client:
        with pytest.raises(StateMissingError) as missing:
            await client.read("u1")
        assert missing.value.reason == STATE_UNAVAILABLE
    await runner.cleanup()


def test_owners_follow_the_partition_of_kafka() -> None:
    owners = OwnerMap(("a", None, "c", "d"))
    assert owners.n_owned == 3
    assert [owners.owner_of(user) for user in users_of_every_partition()] == ["a", None, "c", "d"]


def empty_state(user_id: str) -> web.Response:
    """Return the answer for somebody who has done nothing."""
    return web.Response(body=msgspec.msgpack.encode(StatesAnswer([UserState(user_id, 0, 0)])))


async def test_a_late_answer_is_asked_for_once_more() -> None:
    n_asked = 0
    is_over = asyncio.Event()

    async def stall_at_first(_: web.Request) -> web.Response:
        nonlocal n_asked
        n_asked += 1
        if n_asked == 1:
            await is_over.wait()
        return empty_state("u1")

    runner, url = await serve_raw(stall_at_first)
    async with StateClient([url], DEADLINE_SECONDS) as client:
        await client.owners.refresh()
        assert (await client.read("u1")).user_id == "u1"
        assert n_asked == 2
    is_over.set()
    await runner.cleanup()


async def test_an_answer_counts_although_the_other_one_failed() -> None:
    n_asked = 0

    async def late_and_refused(_: web.Request) -> web.Response:
        nonlocal n_asked
        n_asked += 1
        if n_asked == 2:
            return web.Response(status=503)
        await asyncio.sleep(1.5)
        return empty_state("u1")

    runner, url = await serve_raw(late_and_refused)
    async with StateClient([url], DEADLINE_SECONDS) as client:
        await client.owners.refresh()
        assert (await client.read("u1")).user_id == "u1"
        assert n_asked == 2
    await runner.cleanup()


def test_one_answer_in_twenty_is_late() -> None:
    rng = np.random.default_rng(1)
    for mean in (0.002, 0.05):
        patience = Patience(1.0)
        late = []
        for seconds in rng.exponential(mean, 20_000).tolist():
            late.append(seconds > patience.seconds)
            patience.note(late[-1])
        assert np.mean(late[2_000:]) == pytest.approx(0.05, abs=0.01)
        assert patience.seconds == pytest.approx(mean * -math.log(0.05), rel=0.35)


def test_nobody_waits_longer_than_half_the_deadline() -> None:
    patience = Patience(0.05)
    for _ in range(100):
        patience.note(late=True)
    assert patience.seconds == 0.025
