"""The throttle spreads events over time and keeps runs short."""

import asyncio

from streams.throttle import Throttle


async def test_rate_is_kept() -> None:
    throttle = Throttle(1000)
    loop = asyncio.get_running_loop()
    started = loop.time()
    for _ in range(5):
        await throttle.take(50)
    assert loop.time() - started >= 0.2 - 0.005


async def test_without_a_rate_nothing_waits() -> None:
    throttle = Throttle(0)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await throttle.take(10**9)
    assert loop.time() - started < 1.0
    assert throttle.run_limit(4000) == 4000


def test_runs_last_a_twentieth_of_a_second_at_most() -> None:
    assert Throttle(1000).run_limit(4000) == 50
    assert Throttle(5).run_limit(4000) == 1
    assert Throttle(10**6).run_limit(4000) == 4000
