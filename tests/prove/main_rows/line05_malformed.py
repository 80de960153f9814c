"""Line 5: 10,000 malformed events of many kinds among good ones."""

from collections.abc import Iterator

from prove.bundles import bundle_for
from prove.injection import Injector
from prove.logs import read_taobao
from prove.malformed import KINDS
from prove.rows import Bench, Check
from prove.sending import send_with_transactions
from prove.system import System
from prove.verification import EVENTS_TOPIC, check_of_the_check, expectation, verified

N_PARTITIONS = 4
N_MALFORMED = 10_000
N_GOOD = 20_000


def prove(bench: Bench) -> Iterator[Check]:
    """Send them mixed, then compare the dead letters, the counters and the good ones' states."""
    events = read_taobao(bench)[:N_GOOD]
    yield Check("kinds of malformed events", str(len(KINDS)), "at least 25", len(KINDS) >= 25)
    bundle = bundle_for(events, bench.workspace / "bundle", bench.seed)
    plan = Injector(bench.rng(5), N_PARTITIONS, N_MALFORMED).inject(events)
    with System(bench.workspace / "system", partitions=N_PARTITIONS, bundle=bundle) as system:
        system.start_broker()
        worker = system.start_worker()
        bench.say("sending")
        sent = send_with_transactions(system.bootstrap, EVENTS_TOPIC, plan.parts)
        n_bad = sum(bool(s.message.reason) for s in sent)
        yield Check("malformed events sent", f"{n_bad:,}", "10,000", n_bad == N_MALFORMED)
        yield plan.told("in all")
        expected = expectation(sent, bundle)
        yield from verified(system, [worker], expected, bench.say)
        yield check_of_the_check([worker], expected)
