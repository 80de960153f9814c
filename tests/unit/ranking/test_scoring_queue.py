"""The scoring thread takes up together what waits for it, and nobody suffers from the others."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from ranking import scoring_queue
from ranking.messages import Candidate, RankRequest
from ranking.scorer import Work
from ranking.scoring_queue import ScoringQueue


class RecordingScorer:
    """Notes who is scored together; waits where it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.free = threading.Event()
        self.free.set()

    def work_all(self, works: Sequence[Work]) -> list[Any]:
        self.free.wait(10)
        users = [one.request.user_id for one in works]
        self.groups.append(users)
        return [ValueError(user) if user == "bad" else user for user in users]


def work(user: str, n_candidates: int = 10, explain: bool = False) -> Work:
    candidates = [Candidate(str(item)) for item in range(n_candidates)]
    return Work(RankRequest(user, candidates, explain=explain), "state_timeout", 0)


async def scored(queue: ScoringQueue, *asked: tuple[Any, Work]) -> list[Any]:
    """Let the first one hold the thread until all others wait."""
    first = asked[0][0]
    first.free.clear()
    tasks = [asyncio.create_task(queue.score(scorer, one)) for scorer, one in asked]
    await asyncio.sleep(0.05)
    first.free.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def queue() -> Any:
    made = ScoringQueue()
    yield made
    made.close()


async def test_those_that_wait_are_taken_together_in_their_order(queue: ScoringQueue) -> None:
    scorer = RecordingScorer()
    answers = await scored(queue, *((scorer, work(f"u{n}")) for n in range(7)))
    assert answers == [f"u{n}" for n in range(7)]
    assert scorer.groups == [["u0"], ["u1", "u2", "u3", "u4"], ["u5", "u6"]]


async def test_who_comes_alone_is_scored_alone(queue: ScoringQueue) -> None:
    scorer = RecordingScorer()
    for n in range(3):
        assert await queue.score(scorer, work(f"u{n}")) == f"u{n}"  # type: ignore[arg-type,comparison-overlap]
    assert scorer.groups == [["u0"], ["u1"], ["u2"]]


async def test_large_requests_explanations_and_other_models_are_kept_apart(
    queue: ScoringQueue,
) -> None:
    one, other = RecordingScorer(), RecordingScorer()
    answers = await scored(
        queue,
        (one, work("u0")),
        (one, work("large", scoring_queue.MOST_CANDIDATES + 1)),
        (one, work("u2")),
        (one, work("explained", explain=True)),
        (other, work("u4")),
        (other, work("u5")),
    )
    assert answers == ["u0", "large", "u2", "explained", "u4", "u5"]
    assert one.groups == [["u0"], ["large"], ["u2"], ["explained"]]
    assert other.groups == [["u4", "u5"]]


async def test_an_error_is_told_to_whoever_asked_and_to_nobody_else(queue: ScoringQueue) -> None:
    scorer = RecordingScorer()
    answers = await scored(queue, *((scorer, work(user)) for user in ("u0", "u1", "bad", "u3")))
    assert [str(answer) for answer in answers] == ["u0", "u1", "bad", "u3"]
    assert isinstance(answers[2], ValueError)


async def test_a_request_that_nobody_waits_for_is_not_scored(queue: ScoringQueue) -> None:
    scorer = RecordingScorer()
    scorer.free.clear()
    first = asyncio.create_task(queue.score(scorer, work("u0")))  # type: ignore[arg-type]
    gone = asyncio.create_task(queue.score(scorer, work("gone")))  # type: ignore[arg-type]
    last = asyncio.create_task(queue.score(scorer, work("u2")))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    gone.cancel()
    scorer.free.set()
    assert await first == "u0"  # type: ignore[comparison-overlap]
    assert await last == "u2"  # type: ignore[comparison-overlap]
    assert scorer.groups == [["u0"], ["u2"]]


async def test_it_is_long_when_the_next_one_would_wait_too_long(
    queue: ScoringQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring_queue, "NEWEST", 1.0)
    scorer = RecordingScorer()
    await scored(queue, (scorer, work("slow")))  # It took 50 ms.
    assert not queue.is_long
    scorer.free.clear()
    tasks = [asyncio.create_task(queue.score(scorer, work(f"u{n}"))) for n in range(8)]
    await asyncio.sleep(0.01)
    assert queue.is_long  # Seven wait, 50 ms each.
    scorer.free.set()
    await asyncio.gather(*tasks)
    assert not queue.is_long


async def test_a_group_that_waits_is_never_long(
    queue: ScoringQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring_queue, "NEWEST", 1.0)
    monkeypatch.setattr(scoring_queue, "MOST_WAIT_SECONDS", 1e-9)
    scorer = RecordingScorer()
    await scored(queue, (scorer, work("first")))
    scorer.free.clear()
    tasks = [asyncio.create_task(queue.score(scorer, work(f"u{n}"))) for n in range(4)]
    await asyncio.sleep(0.01)
    assert not queue.is_long  # One is at work, three wait.
    tasks += [asyncio.create_task(queue.score(scorer, work("more")))]
    await asyncio.sleep(0.01)
    assert queue.is_long
    scorer.free.set()
    await asyncio.gather(*tasks)
