"""Line 2: two real logs through the running system, every user read and compared."""

from collections.abc import Callable, Iterator

from prove.bundles import bundle_for
from prove.injection import Injector
from prove.logs import (
    AMAZON_EVENTS,
    AMAZON_USERS,
    TAOBAO_EVENTS,
    TAOBAO_USERS,
    Event,
    read_amazon,
    read_taobao,
    users_of,
)
from prove.rows import Bench, Check, equal
from prove.sending import send_with_transactions
from prove.system import System
from prove.verification import EVENTS_TOPIC, check_of_the_check, expectation, verified

N_PARTITIONS = 4
N_MALFORMED = 400


def prove(bench: Bench) -> Iterator[Check]:
    """Replay each log on a system of its own."""
    taobao = (TAOBAO_EVENTS, TAOBAO_USERS)
    yield from replay(bench, "taobao", read_taobao, taobao)
    yield from replay(bench, "amazon", read_amazon, (AMAZON_EVENTS, AMAZON_USERS))


def replay(
    bench: Bench, name: str, read: Callable[[Bench], list[Event]], size: tuple[int, int]
) -> Iterator[Check]:
    """Send a log with everything injected, and compare what the system makes of it."""
    events = read(bench)
    yield equal(f"{name}: events and users of the log", (len(events), len(users_of(events))), size)
    rng = bench.rng(2, len(events))
    bench.say(f"{name}: a bundle over its ids")
    bundle = bundle_for(events, bench.workspace / f"bundle-{name}", bench.seed)
    plan = Injector(rng, N_PARTITIONS, N_MALFORMED).inject(events)
    with System(bench.workspace / name, partitions=N_PARTITIONS, bundle=bundle) as system:
        system.start_broker()
        worker = system.start_worker()
        bench.say(f"{name}: sending {len(events):,} events")
        sent = send_with_transactions(system.bootstrap, EVENTS_TOPIC, plan.parts)
        yield plan.told(f"{name}: injected")
        expected = expectation(sent, bundle)
        yield from verified(system, [worker], expected, bench.say, name)
        yield check_of_the_check([worker], expected)
