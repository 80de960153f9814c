"""Requests that wait for the scoring thread, which takes those together that fit.

A request by itself pays for each layer of the model; together they share that. Nobody waits for
company: the thread takes what is there when it is free, so groups form only under load.
"""

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from interest_center import metrics
from ranking.scorer import Scorer, Work, WorkDone

#: With more of them a request costs no less (measured with 100 candidates: half of it alone with
#: four, the same with eight and sixteen), and the first waits for the last.
MOST_TOGETHER = 4
#: Candidates of all; with more there is little left to share.
MOST_CANDIDATES = 512
#: Longest wait that anybody may expect who comes; whoever asks has given up by then.
MOST_WAIT_SECONDS = 0.25
#: Weight of the newest group in what a request takes.
NEWEST = 0.1


@dataclass(frozen=True)
class _Waiting:
    scorer: Scorer
    work: Work
    done: "asyncio.Future[WorkDone]"


class ScoringQueue:
    """One thread, and the requests that wait for it, first come first served."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="score")
        self._waiting: deque[_Waiting] = deque()
        self._is_busy = False
        self._seconds_of_one = 0.0

    @property
    def is_long(self) -> bool:
        """Whether one more would wait too long, by what those before took; a group never does."""
        n = len(self._waiting)
        return n >= MOST_TOGETHER and n * self._seconds_of_one > MOST_WAIT_SECONDS

    async def score(self, scorer: Scorer, work: Work) -> WorkDone:
        """Have one request scored; an error of it is raised here."""
        waiting = _Waiting(scorer, work, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if not self._is_busy:
            self._begin()
        return await waiting.done

    def close(self) -> None:
        """End the thread when it is done with what it has."""
        self._thread.shutdown(wait=True)

    def _begin(self) -> None:
        """Take what fits together, if anybody waits."""
        group = self._next_group()
        self._is_busy = bool(group)
        if not group:
            return
        metrics.RANK_TOGETHER.observe(len(group))
        works = [one.work for one in group]
        loop, began = asyncio.get_running_loop(), time.perf_counter()
        scoring = loop.run_in_executor(self._thread, group[0].scorer.work_all, works)
        scoring.add_done_callback(lambda scored: self._end(group, scored, began))

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        n_candidates = 0
        while self._waiting and len(group) < MOST_TOGETHER:
            following = self._waiting[0]
            n_candidates += len(following.work.request.candidates)
            if group and (
                following.scorer is not group[0].scorer
                or following.work.request.explain
                or n_candidates > MOST_CANDIDATES
            ):
                break
            self._waiting.popleft()
            if not following.done.done():  # Whoever asked may have gone.
                group.append(following)
        return group

    def _end(
        self,
        group: list[_Waiting],
        scored: "asyncio.Future[list[WorkDone | Exception]]",
        began: float,
    ) -> None:
        of_one = (time.perf_counter() - began) / len(group)
        self._seconds_of_one += NEWEST * (of_one - self._seconds_of_one)
        self._begin()
        error = scored.exception()
        results = [error] * len(group) if error is not None else scored.result()
        for one, result in zip(group, results, strict=True):
            if one.done.done():
                continue
            if isinstance(result, BaseException):
                one.done.set_exception(result)
            else:
                one.done.set_result(result)
