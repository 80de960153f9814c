"""Line 4: two workers under load; one killed, one joining, one paused past its timeout."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from prove.bundles import bundle_for
from prove.injection import Injector, Plan
from prove.logs import read_taobao
from prove.rows import Bench, Check, figure
from prove.sending import Message, Sent, send_with_transactions
from prove.system import Service, System
from prove.verification import (
    EVENTS_TOPIC,
    check_of_the_check,
    expectation,
    first,
    verified,
)
from prove.watching import Seen, Watcher, recomputed, statuses, steps_back, told_statuses

N_PARTITIONS = 4
N_MALFORMED = 300
SESSION_SECONDS = 6
CALM_SECONDS = 6.0
PAUSED_SECONDS = SESSION_SECONDS + 8.0
PART_MESSAGES = 150
PART_SECONDS = 0.2


@dataclass
class Load:
    """Sends a plan slowly in a thread of its own, and all that is left when told so."""

    system: System
    parts: list[tuple[str, list[Message]]]
    sent: list[Sent] = field(default_factory=list)
    hurry: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None
    thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def finish(self) -> list[Sent]:
        """Send the rest without pauses and return everything."""
        self.hurry.set()
        assert self.thread is not None
        self.thread.join()
        if self.error is not None:
            raise self.error
        return self.sent

    def _send(self) -> None:
        try:
            bootstrap = self.system.bootstrap
            while self.parts and not self.hurry.is_set():
                started = time.monotonic()
                now, self.parts = self.parts[:10], self.parts[10:]
                self.sent += send_with_transactions(bootstrap, EVENTS_TOPIC, now)
                self.hurry.wait(len(now) * PART_SECONDS - (time.monotonic() - started))
            self.sent += send_with_transactions(bootstrap, EVENTS_TOPIC, self.parts)
        except Exception as error:  # Handed to the thread that waits for us.
            self.error = error


def small_parts(plan: Plan) -> list[tuple[str, list[Message]]]:
    """Return the plan in parts small enough to be spread over time."""
    return [
        (how, messages[start : start + PART_MESSAGES])
        for how, messages in plan.parts
        for start in range(0, len(messages), PART_MESSAGES)
    ]


@dataclass
class Drama:
    """The workers and what happens to them, under load and under questions."""

    bench: Bench
    system: System
    watcher: Watcher
    paused_at: float = 0.0
    resumed_at: float = 0.0

    def play(self) -> list[Service]:
        """Let it happen; returns the workers that are left."""
        a, b = self._start("a"), self._start("b")
        for worker in (a, b):
            worker.wait_ready()
        self._calm("two workers")
        b.kill_9()
        self._calm("one of two killed", SESSION_SECONDS + CALM_SECONDS)
        c = self._start("c")
        c.wait_ready()
        self._calm("a third joined")
        self.paused_at = time.monotonic()
        a.pause()
        self._calm("one paused past its timeout", PAUSED_SECONDS)
        self.resumed_at = time.monotonic()
        a.resume()
        self._calm("resumed", SESSION_SECONDS + CALM_SECONDS)
        return [a, c]

    def _start(self, name: str) -> Service:
        worker = self.system.start_worker(name, session_timeout_seconds=SESSION_SECONDS)
        worker.wait_live()
        self.watcher.watch(name, worker.url)
        return worker

    def _calm(self, what: str, seconds: float = CALM_SECONDS) -> None:
        self.bench.say(what)
        time.sleep(seconds)


def prove(bench: Bench) -> Iterator[Check]:
    """Play the drama, then compare the end and recompute every answer in between."""
    events = read_taobao(bench)
    bundle = bundle_for(events, bench.workspace / "bundle", bench.seed)
    plan = Injector(bench.rng(4), N_PARTITIONS, N_MALFORMED).inject(events)
    users = sorted({event["user_id"] for event in events})
    with System(bench.workspace / "system", partitions=N_PARTITIONS, bundle=bundle) as system:
        system.start_broker()
        load = Load(system, small_parts(plan))
        watcher = Watcher(users, bench.rng(4, 1))
        load.start()
        drama = Drama(bench, system, watcher)
        try:
            workers = drama.play()
            parts_left = len(load.parts)
        finally:
            watcher.stop()
            sent = load.finish()
        expected = expectation(sent, bundle)
        yield from verified(system, workers, expected, bench.say)
        yield check_of_the_check(workers, expected)
        bench.say("recomputing the answers in between")
        seen = watcher.seen
        outcome = recomputed(seen, expected.oracle, expected.memory)
        yield Check("answers in between, at their offset", outcome.told(), "equal", outcome.equal)
        yield Check(
            "parts of the load left when the resumed worker was calm again",
            str(parts_left),
            "above 0: there was load all the time",
            parts_left > 0,
        )
        yield taken_over(seen, drama)
        yield from answers_in_between(seen, drama.resumed_at)


def taken_over(seen: list[Seen], drama: Drama) -> Check:
    """Check that the other worker answered for every partition while one was stopped."""
    answered = {
        one.place[0]
        for one in seen
        if one.worker == "c"
        and one.body is not None
        and drama.paused_at + SESSION_SECONDS < one.answered_at < drama.resumed_at
    }
    return Check(
        "partitions that the other worker answered for during the pause",
        ", ".join(map(str, sorted(answered))) or "none",
        "all: they were taken over",
        answered == set(range(N_PARTITIONS)),
    )


def answers_in_between(seen: list[Seen], resumed_at: float) -> Iterator[Check]:
    """Check statuses and the order of offsets."""
    other = set(statuses(seen)) - {200, 503, 0}
    yield Check("statuses", told_statuses(seen), "200 or 503, or none from the dead", not other)
    after = [one for one in seen if one.answered_at >= resumed_at]
    back = steps_back(seen, resumed_at)
    n_after = sum(one.body is not None for one in after)
    fine = f"none in {n_after:,} answers"
    yield Check(
        "answers below an earlier one after the resume",
        first(back, fine),
        "none",
        not back and n_after > 100,
    )
    paused_says = [one for one in after if one.worker == "a"]
    yield figure("the resumed worker itself", told_statuses(paused_says))
    yield figure("answers below an earlier one, all the time", str(len(steps_back(seen, 0.0))))
