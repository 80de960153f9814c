"""Line 5: an owner of states stopped, paused, killed and started again under load."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from prove.open_load import Loaded, load_openly
from prove.ranking_rows.live_system import Live, live_system, requests
from prove.reading import Connection
from prove.rows import Bench, Check, equal, figure
from prove.system import wait_until

RATE = 100.0
SESSION_SECONDS = 6
N_REQUESTS = 500
TOLERANCE = 1e-5
OWNERS = ("stays", "suffers")
#: What may be missing from an answer while an owner is away.
STATED = {"state_timeout", "state_unavailable"}
#: After the last fault is over.
CALM_SECONDS = 20.0
STRANGER = "nobody knows me"


@dataclass
class Fault:
    """What is done to an owner, and when.

    Attributes:
        name: In words.
        at: Seconds after the load began.
        do: Does it.
    """

    name: str
    at: float
    do: Callable[[], object]


@dataclass
class Faults:
    """Does one fault after the other while the load goes on.

    Attributes:
        faults: In order of their time.
        done_at: When each was done, seconds after the load began.
        error: What went wrong in doing them.
    """

    faults: list[Fault]
    done_at: dict[str, float] = field(default_factory=dict)
    error: Exception | None = None

    def start(self) -> threading.Thread:
        """Begin."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            for fault in self.faults:
                time.sleep(max(0.0, begun + fault.at - time.monotonic()))
                self.done_at[fault.name] = time.monotonic() - begun
                fault.do()
        except Exception as error:
            self.error = error


def prove(bench: Bench) -> Iterator[Check]:
    """Compare every answer under faults with the answer of calm times."""
    now = time.time_ns() // 1_000_000
    bodies = requests(bench.rng(5), N_REQUESTS, time_ms=now)
    with live_system(bench, OWNERS, session_timeout_seconds=SESSION_SECONDS) as live:
        whole = {name: asked(live, body) for name, body in named(bodies).items()}
        without = {name: asked(live, as_stranger(body)) for name, body in named(bodies).items()}
        yield equal("calm: degraded answers", degraded_of(whole.values()), 0)
        faults = Faults(the_faults(live))
        last = faults.faults[-1].at
        n_asked = int((last + CALM_SECONDS) * RATE)
        in_turn = [bodies[number % N_REQUESTS] for number in range(n_asked)]
        answers: list[dict[str, Any]] = []
        bench.say(f"{RATE:g} requests/s for {n_asked / RATE:.0f} s")
        thread = faults.start()
        loaded = load_openly(
            live.ranker.url, in_turn, RATE, lambda body: answers.append(json.loads(body))
        )
        thread.join()
        if faults.error is not None:
            raise faults.error
        yield from compared(answers, whole, without)
        yield from served(loaded, faults)


def named(bodies: list[bytes]) -> dict[str, bytes]:
    """Return the requests by their user."""
    return {json.loads(body)["user_id"]: body for body in bodies}


def as_stranger(body: bytes) -> bytes:
    """Return the same request of somebody without a state."""
    return json.dumps(json.loads(body) | {"user_id": STRANGER}).encode()


def asked(live: Live, body: bytes) -> dict[str, Any]:
    """Ask in calm times."""
    connection = Connection(live.ranker.url)
    answer: dict[str, Any] = connection.post("/v1/rank", json.loads(body))
    connection.close()
    return answer


def degraded_of(answers: Any) -> int:
    """Count the degraded ones."""
    return sum(answer["degraded"] is not None for answer in answers)


def the_faults(live: Live) -> list[Fault]:
    """Return what happens to the second owner."""
    by_name = dict(zip(OWNERS, live.workers, strict=True))

    def start() -> None:
        by_name["suffers"] = live.system.start_worker("suffers")
        by_name["suffers"].wait_ready()

    def shared() -> None:
        wait_until("both own something", lambda: all(owned(w.url) for w in by_name.values()))

    return [
        Fault("paused", 10, lambda: by_name["suffers"].pause()),
        Fault("resumed", 25, lambda: by_name["suffers"].resume()),
        Fault("shared again", 30, shared),
        Fault("stopped", 40, lambda: by_name["suffers"].stop()),
        Fault("started", 50, start),
        Fault("shared once more", 60, shared),
        Fault("killed", 70, lambda: by_name["suffers"].kill_9()),
        Fault("started again", 75, start),
    ]


def owned(url: str) -> int:
    """Return how many partitions a worker owns and answers for."""
    connection = Connection(url)
    try:
        told = connection.get("/v1/partitions")["partitions"]
    finally:
        connection.close()
    return sum(bool(one.get("ready")) for one in told if one.get("owner_url") == url)


def compared(
    answers: list[dict[str, Any]], whole: dict[str, Any], without: dict[str, Any]
) -> Iterator[Check]:
    """Hold each answer against that of calm times: with its state, or said to be without."""
    worst = {"whole": 0.0, "degraded": 0.0}
    for answer in answers:
        kind = "whole" if answer["degraded"] is None else "degraded"
        expected = whole[answer["user_id"]] if kind == "whole" else without[answer["user_id"]]
        worst[kind] = max(worst[kind], difference(answer, expected))
    n = Counter("whole" if answer["degraded"] is None else "degraded" for answer in answers)
    for kind, beside in (("whole", "the same users in calm times"), ("degraded", "strangers")):
        yield Check(
            f"{n[kind]:,} {kind} answers against those of {beside}: largest difference",
            f"{worst[kind]:.1e}",
            f"at most {TOLERANCE:.0e}, and some answers",
            worst[kind] <= TOLERANCE and n[kind] > 0,
        )
    differ = sum(difference(whole[user], without[user]) > TOLERANCE for user in whole)
    yield Check(
        "users whose state makes a difference", f"{differ} of {len(whole)}", "most", differ > 400
    )


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Return the largest difference of the scores, 1 when other items were returned."""
    mine, theirs = (
        {str(item["item_id"]): float(item["score"]) for item in answer["items"]}
        for answer in (one, other)
    )
    if set(mine) ^ set(theirs):
        # Scores that are equal but for rounding may change the last place.
        return 1.0 if abs(min(mine.values()) - min(theirs.values())) > TOLERANCE else 0.0
    return max(abs(mine[item] - theirs[item]) for item in mine)


def served(loaded: Loaded, faults: Faults) -> Iterator[Check]:
    """Show what was answered when."""
    counts = loaded.counts
    odd = {status: n for status, n in counts.items() if status not in (200, 429)}
    yield Check("answers that are neither 200 nor 429", str(odd or 0), "none", not odd)
    reasons = loaded.degraded
    yield Check(
        "degraded, by reason",
        ", ".join(f"{reason}: {n:,}" for reason, n in sorted(reasons.items())) or "none",
        f"some, and no other than {', '.join(sorted(STATED))}",
        bool(reasons) and set(reasons) <= STATED,
    )
    yield figure("all the time: p50 / p99 / p99.9", loaded.told())
    times = list(faults.done_at.items())
    for (name, at), end in zip(times, [t for _, t in times[1:]] + [loaded.at[-1]], strict=True):
        late = [
            when
            for when, reason in zip(loaded.at, loaded.reasons, strict=True)
            if reason and at <= when < end
        ]
        text = f"{len(late):,} degraded"
        if late:
            text += f", the last {max(late) - at:.1f} s after it"
        yield figure(f"{name} at {at:.0f} s", text)
    calm = loaded.at[-1] - 5
    ends = sum(bool(r) for when, r in zip(loaded.at, loaded.reasons, strict=True) if when > calm)
    yield equal("degraded answers of the last five seconds", ends, 0)
