"""Line 3: 20 kill -9 during a throttled replay, then a wiped disk with and without a snapshot."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from prove.bundles import bundle_for
from prove.injection import Injector
from prove.kills import Killed, joined_at, kill_after, watch_until_killed
from prove.logs import read_taobao
from prove.rows import Bench, Check, figure
from prove.sending import send_with_transactions
from prove.system import System, wait_until
from prove.verification import (
    EVENTS_TOPIC,
    Expectation,
    check_of_the_check,
    expectation,
    verified,
)

N_PARTITIONS = 4
N_MALFORMED = 2_000
RATE = 1_400
SNAPSHOT_SECONDS = 15
RANDOM_KILLS = 10
#: Long enough that a kill just after a checkpoint of all partitions is rare.
CHECKPOINT_SECONDS = 2
#: A kill that happens to cost nothing proves nothing: it is done again, but not without end.
MAX_KILLS = 30
KILL_SECONDS = (0.8, 2.6)

#: Before, in and after the checkpoint write and the acknowledgement of dead letters; the number is
#: drawn so that some work is done before. In the write another process kills, a moment after its
#: beginning; before the acknowledgement the letters are sent and may be there or not.
FAULT_POINTS = (
    ("before_checkpoint_write", 5, 12),
    ("before_checkpoint_write", 5, 12),
    ("in_checkpoint_write", 5, 12),
    ("in_checkpoint_write", 5, 12),
    ("after_checkpoint_write", 5, 12),
    ("after_apply", 30, 60),
    ("before_dead_letters", 20, 50),
    ("before_dead_letter_ack", 20, 50),
    ("after_dead_letter_ack", 20, 50),
    ("after_dead_letter_ack", 20, 50),
)


class Story:
    """One system through all its kills."""

    def __init__(self, bench: Bench, system: System) -> None:
        self.bench = bench
        self.system = system
        self.rng = bench.rng(3)
        self.kills: list[Killed] = []

    def plan(self) -> list[str]:
        """Return how the workers die, in random order: a fault point, or nothing for random.

        One more at the end is a spare: whether the last one cost anything shows only afterwards.
        """
        points = [f"{label}:{self.rng.integers(low, high)}" for label, low, high in FAULT_POINTS]
        plan = [*points, *([""] * RANDOM_KILLS)]
        return [*(plan[i] for i in self.rng.permutation(len(plan))), ""]

    def run(self) -> None:
        """Kill one worker after the other; repeat a kill that cost nothing."""
        plan = self.plan()[::-1]
        while plan and len(self.kills) < MAX_KILLS:
            point = plan.pop()
            self.bench.say(f"kill {len(self.kills) + 1}: {point or 'at random'}")
            extra = {"fault_point": point} if point else {}
            worker = self.system.start_worker(
                max_events_per_second=RATE, checkpoint_interval_seconds=CHECKPOINT_SECONDS, **extra
            )
            self._note_start(joined_at(worker, N_PARTITIONS))
            if self.kills and not self.kills[-1].replayed:
                plan.insert(1, self.kills[-1].point)
            killed = Killed(point)
            if point:
                killed.reached = watch_until_killed(worker, 120.0)
            else:
                killed.reached = kill_after(worker, float(self.rng.uniform(*KILL_SECONDS)))
            self.kills.append(killed)

    def _note_start(self, began: dict[int, int]) -> None:
        if self.kills:
            self.kills[-1].restarted = began

    def finish(self, expected: Expectation) -> Iterator[Check]:
        """Let the last worker catch up and compare everything; then wipe its disk twice."""
        worker = self.system.start_worker()
        began = joined_at(worker, N_PARTITIONS)
        self._note_start(began)
        yield from self._told(began)
        yield from verified(self.system, [worker], expected, self.bench.say, "after 20 kills")
        yield check_of_the_check([worker], expected)
        for name in ("with a snapshot", "without a snapshot"):
            if name == "with a snapshot":
                self.bench.say("waiting for a snapshot")
                wait_until("a snapshot", lambda: self._snapshot_manifests() >= N_PARTITIONS, 60)
            worker.kill_9()
            shutil.rmtree(self.system.home / "state-worker")
            if name == "without a snapshot":
                shutil.rmtree(self.system.home / "snapshots")
            worker = self.system.start_worker()
            began = joined_at(worker, N_PARTITIONS)
            from_snapshot = all(began[number] > 0 for number in began)
            yield Check(
                f"disk wiped {name}: began at",
                str(sum(began.values())),
                "0" if name == "without a snapshot" else "above 0 in every partition",
                from_snapshot if name == "with a snapshot" else not any(began.values()),
            )
            yield from verified(self.system, [worker], expected, self.bench.say, name)

    def _snapshot_manifests(self) -> int:
        """Count the partitions that have a file of a snapshot."""
        root = self.system.home / "snapshots"
        manifests = [path for path in root.rglob("*.json") if path.is_file()]
        return len({path.parent for path in manifests})

    def _told(self, began: dict[int, int]) -> Iterator[Check]:
        """Show the kills and what each made the next worker replay."""
        showing = [kill for kill in self.kills if kill.replayed]
        by_point = Counter(kill.label for kill in showing)
        told = ", ".join(str(kill.replayed) for kill in sorted(showing, key=lambda k: k.replayed))
        n_random = by_point.get("at random", 0)
        n_points = len(showing) - n_random
        yield Check(
            "kills that made the next worker replay",
            f"{len(showing)} of {len(self.kills)}: "
            + ", ".join(f"{label} {n}" for label, n in sorted(by_point.items())),
            "20: 10 at random, 10 at fault points",
            n_random >= RANDOM_KILLS and n_points >= len(FAULT_POINTS),
        )
        yield figure("offsets replayed after each", told)
        reached = sum(self.kills[-1].reached.values())
        yield figure("offset reached at the last kill", f"{reached:,}, then from {began}")


def prove(bench: Bench) -> Iterator[Check]:
    """Send a log with everything injected, then kill worker after worker on it."""
    events = read_taobao(bench)
    bundle = bundle_for(events, bench.workspace / "bundle", bench.seed)
    plan = Injector(bench.rng(3, 1), N_PARTITIONS, N_MALFORMED).inject(events)
    home: Path = bench.workspace / "system"
    settings = {"partitions": N_PARTITIONS, "bundle": bundle}
    with System(home, snapshot_interval_seconds=SNAPSHOT_SECONDS, **settings) as system:
        system.start_broker()
        bench.say("sending the log")
        expected = expectation(
            send_with_transactions(system.bootstrap, EVENTS_TOPIC, plan.parts), bundle
        )
        story = Story(bench, system)
        story.run()
        yield from story.finish(expected)
