"""Line 6: workers paused past their session timeout with events not yet durable, and resumed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from prove.bundles import bundle_for
from prove.chaos import not_durable
from prove.logs import read_taobao
from prove.main_rows.line04_workers import answers_in_between
from prove.reading import owned_partitions
from prove.rows import Bench, Check
from prove.steady_load import SteadyLoad, endless
from prove.system import Service, System, wait_until
from prove.verification import check_of_the_check, expectation, first, verified
from prove.watching import Seen, Watcher, recomputed

N_PARTITIONS = 4
N_MALFORMED = 300
RATE = 500.0
SESSION_SECONDS = 6
PAUSED_SECONDS = SESSION_SECONDS + 6.0
CALM_SECONDS = 6.0
SHARE_SECONDS = 60.0
#: The users of these are asked for: all of them will have had an event.
N_EVENTS_SURELY_SENT = 5_000
#: So long that there is always something which is not durable.
CHECKPOINT_SECONDS = 5
PAUSED_IN_TURN = ("a", "b", "a")


@dataclass
class Pause:
    """What happened around one pause.

    Attributes:
        worker: Who was paused.
        not_durable: Events that it had applied and not made durable.
        partitions: That it owned.
        began: When it was stopped.
        ended: When it was let go on.
        calm_until: When the next pause began.
    """

    worker: str
    not_durable: int
    partitions: set[int]
    began: float
    ended: float = 0.0
    calm_until: float = float("inf")


@dataclass
class Pauses:
    """Two workers that are paused in turn, under load and under questions."""

    bench: Bench
    system: System
    watcher: Watcher
    workers: dict[str, Service] = field(default_factory=dict)
    pauses: list[Pause] = field(default_factory=list)

    def play(self) -> list[Service]:
        """Let it happen; returns the workers."""
        for name in ("a", "b"):
            settings = {"session_timeout_seconds": SESSION_SECONDS}
            worker = self.workers[name] = self.system.start_worker(name, **settings)
            worker.wait_live()
            self.watcher.watch(name, worker.url)
        self._share()
        for number, name in enumerate(PAUSED_IN_TURN):
            self.bench.say(f"pause {number + 1} of {len(PAUSED_IN_TURN)}: {name}")
            self._pause(name)
            self._share()
            time.sleep(CALM_SECONDS)
        return list(self.workers.values())

    def _share(self) -> None:
        """Wait until both own partitions again, and answer for them."""

        def shared() -> bool:
            owned = [owned_partitions(worker.url) for worker in self.workers.values()]
            return all(owned) and sum(map(len, owned)) == N_PARTITIONS and all(
                part["ready"] for parts in owned for part in parts.values()
            )  # fmt: skip

        wait_until("both workers own partitions", shared, SHARE_SECONDS)

    def _pause(self, name: str) -> None:
        worker = self.workers[name]
        wait_until("something not durable", lambda: not_durable(worker), 2 * CHECKPOINT_SECONDS)
        partitions = set(owned_partitions(worker.url))
        pending = not_durable(worker)
        worker.pause()
        pause = Pause(name, pending, partitions, time.monotonic())
        if self.pauses:
            self.pauses[-1].calm_until = pause.began
        self.pauses.append(pause)
        time.sleep(PAUSED_SECONDS)
        pause.ended = time.monotonic()
        worker.resume()


def prove(bench: Bench) -> Iterator[Check]:
    """Pause and resume; then compare the end, and recompute every answer in between."""
    events = read_taobao(bench)
    bundle = bundle_for(events, bench.workspace / "bundle", bench.seed)
    users = sorted({event["user_id"] for event in events[:N_EVENTS_SURELY_SENT]})
    settings = {"partitions": N_PARTITIONS, "checkpoint_interval_seconds": CHECKPOINT_SECONDS}
    with System(bench.workspace / "system", bundle=bundle, **settings) as system:
        system.start_broker()
        messages = endless(events, bench.rng(6), N_PARTITIONS, N_MALFORMED)
        load = SteadyLoad(system.bootstrap, messages, RATE)
        watcher = Watcher(users, bench.rng(6, 1))
        story = Pauses(bench, system, watcher)
        load.start()
        try:
            workers = story.play()
        finally:
            watcher.stop()
            load.stop()
        yield from told(story.pauses, watcher.seen)
        landed = load.landed()
        yield load.check(landed)
        expected = expectation(landed, bundle)
        yield from verified(system, workers, expected, bench.say)
        yield check_of_the_check(workers, expected)
        bench.say("recomputing the answers in between")
        outcome = recomputed(watcher.seen, expected.oracle, expected.memory)
        yield Check("answers in between, at their offset", outcome.told(), "equal", outcome.equal)
        for pause in story.pauses:
            part = [one for one in watcher.seen if one.asked_at < pause.calm_until]
            yield from answers_in_between(part, pause.ended)


def told(pauses: list[Pause], seen: list[Seen]) -> Iterator[Check]:
    """Check that each pause was one that could do harm, and what the paused worker answered."""
    pending = [pause.not_durable for pause in pauses]
    yield Check(
        "events applied and not durable at each pause",
        ", ".join(f"{n:,}" for n in pending),
        "some",
        min(pending) > 0,
    )
    for number, pause in enumerate(pauses, start=1):
        answered = {
            one.place[0]
            for one in seen
            if one.worker != pause.worker
            and one.body is not None
            and pause.began + SESSION_SECONDS < one.answered_at < pause.ended
        }
        missing = pause.partitions - answered
        yield Check(
            f"pause {number}: partitions of {pause.worker} that the other one answered for",
            f"{len(pause.partitions) - len(missing)} of {len(pause.partitions)}",
            "all: they were taken over",
            not missing and bool(pause.partitions),
        )
        yield answers_of_resumed(number, pause, seen)


def answers_of_resumed(number: int, pause: Pause, seen: list[Seen]) -> Check:
    """Check that the resumed worker first refused, and answered again in the end."""
    own = [
        one
        for one in sorted(seen, key=lambda one: one.answered_at)
        if one.worker == pause.worker and pause.ended <= one.answered_at < pause.calm_until
    ]
    refused = [one for one in own if one.status == 503]
    wrong = [f"{one.status}" for one in own if one.status not in {200, 503, 0}]
    answered = [one for one in own if one.status == 200]
    last = max((one.answered_at for one in refused), default=pause.ended) - pause.ended
    return Check(
        f"pause {number}: answers of {pause.worker} after it",
        first(wrong, f"{len(refused)} times 503, the last {last:.1f} s after it"),
        "503 until it owns partitions again",
        not wrong and bool(refused) and bool(answered) and answered[-1] is own[-1],
    )
