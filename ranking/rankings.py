"""One request from its bytes to its answer, with the time of each stage."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from interest_center import metrics
from interest_center.core.errors import BadRequestError, NotReadyError, OverloadedError
from interest_center.core.messages import UserState
from models.bundle import Bundle
from models.catalog import Catalog, with_catalog
from ranking.messages import RankAnswer, RankRequest
from ranking.request_reading import in_batch
from ranking.scorer import Scorer, Work, WorkDone
from ranking.scoring_queue import ScoringQueue
from ranking.state_client import StateClient, StateMissingError

log = structlog.get_logger(__name__)

#: Requests that are inside at once, whatever they wait for.
MAX_AT_ONCE = 200
#: Headers of a request that is a part of nothing.
NO_TRACE: Mapping[str, str] = {}


class Rankings:
    """Answers ranking requests with some models.

    Models run in a thread of their own (``scoring_queue.py``), so that the event loop goes on
    reading states for the next requests meanwhile. At most ``MAX_AT_ONCE`` requests are inside, and
    none is taken that would wait too long for that thread: to be refused at once is better than to
    wait for an answer that comes too late.

    Args:
        bundles: What scores, by the name that a request may ask for; the first one is taken where
            none is asked for.
        states: Where the states are read.
        now_ms: The clock.
        on_answer: Told of each answer, with its request and the time that was ranked for.
    """

    def __init__(
        self,
        bundles: Mapping[str, Bundle],
        states: StateClient,
        now_ms: Callable[[], int],
        on_answer: Callable[[RankRequest, RankAnswer, int], None] | None = None,
    ) -> None:
        self._loaded = dict(bundles)
        self._scorers = {name: Scorer(bundle) for name, bundle in bundles.items()}
        self.default = next(iter(bundles))
        self._states = states
        self._now_ms = now_ms
        self._on_answer = on_answer
        self._scoring = ScoringQueue()
        self._n_inside = 0
        for bundle in bundles.values():
            memory = f"{bundle.memory_fingerprint:016x}"
            metrics.RANK_MODEL.labels(bundle.name, bundle.fingerprint, memory).set(1)

    @property
    def bundles(self) -> dict[str, Bundle]:
        """What scores, by name."""
        return {name: scorer.bundle for name, scorer in self._scorers.items()}

    def use_catalog(self, catalog: Catalog) -> None:
        """Score with what a catalog says of the items, from the next request on; for any thread."""
        self._scorers = {
            name: Scorer(with_catalog(bundle, catalog)) for name, bundle in self._loaded.items()
        }
        metrics.RANK_CATALOG_ITEMS.set(len(catalog.items))
        metrics.RANK_CATALOG_RELOADS.labels("used").inc()
        log.info("catalog_used", items=len(catalog.items), embedded=len(catalog.embedded))

    @property
    def has_room(self) -> bool:
        """Whether one more request would be taken."""
        return self._n_inside < MAX_AT_ONCE and not self._scoring.is_long

    def check_ready(self) -> None:
        """Make sure that rankings are made from states.

        Raises:
            NotReadyError: No worker has said yet who owns what.
        """
        if not self._states.has_owners:
            raise NotReadyError("no interest worker has answered yet")

    def close(self) -> None:
        """End the scoring thread when it is done with what it has."""
        self._scoring.close()

    def warm_up(self) -> None:
        """Score made-up requests, so that the first real one finds everything compiled."""
        for scorer in self._scorers.values():
            scorer.warm_up()

    async def rank_all(
        self, requests: Sequence[RankRequest], trace: Mapping[str, str] = NO_TRACE
    ) -> list[RankAnswer]:
        """Answer several requests, each as if it had come alone.

        Raises:
            BadRequestError: One of them is wrong.
            OverloadedError: There is no room for so many.
        """
        self._make_sure_of_room(len(requests))
        answers = await asyncio.gather(
            *(self._counted(lambda one=one: one, trace) for one in requests),  # type: ignore[misc]
            return_exceptions=True,
        )
        for number, answer in enumerate(answers):
            if isinstance(answer, BadRequestError):
                raise in_batch(number, answer) from answer
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def rank(
        self, read: Callable[[], RankRequest], trace: Mapping[str, str] = NO_TRACE
    ) -> RankAnswer:
        """Answer one request and count it.

        Args:
            read: Reads and checks the request.
            trace: Headers that tell what the request is a part of, passed on.

        Raises:
            BadRequestError: The request is wrong.
            OverloadedError: Too many others are being answered.
        """
        self._make_sure_of_room(1)
        return await self._counted(read, trace)

    def _make_sure_of_room(self, n: int) -> None:
        """Refuse ``n`` requests when there is no room for them."""
        if not self.has_room or self._n_inside + n > MAX_AT_ONCE:
            metrics.RANK_REQUESTS.labels("rejected").inc(n)
            raise OverloadedError(f"{self._n_inside} rankings are waiting already")

    async def _counted(
        self, read: Callable[[], RankRequest], trace: Mapping[str, str]
    ) -> RankAnswer:
        result = "failed"
        started = time.perf_counter()
        self._n_inside += 1
        try:
            answer = await self._rank(read, trace)
            result = "degraded" if answer.degraded else "ok"
            return answer
        except BadRequestError:
            result = "bad_request"
            raise
        finally:
            self._n_inside -= 1
            metrics.RANK_REQUESTS.labels(result).inc()
            metrics.RANK_SECONDS.labels("total").observe(time.perf_counter() - started)

    async def _rank(self, read: Callable[[], RankRequest], trace: Mapping[str, str]) -> RankAnswer:
        times = [time.perf_counter()]
        request = read()
        scorer = self._scorer(request)
        # A wrong event type must be refused before the state decides whether events are needed.
        scorer.check(request)
        times.append(time.perf_counter())
        state = await self._state(request, scorer, trace)
        times.append(time.perf_counter())
        time_ms = self._now_ms() if request.time_ms is None else request.time_ms
        done = await self._scoring.score(scorer, Work(request, state, time_ms))
        _observe(request, done, times)
        if self._on_answer is not None:
            self._on_answer(request, done.answer, time_ms)
        return done.answer

    def _scorer(self, request: RankRequest) -> Scorer:
        scorer = self._scorers.get(request.model or self.default)
        if scorer is None:
            raise BadRequestError(f"not one of {', '.join(self._scorers)}", "model")
        return scorer

    async def _state(
        self, request: RankRequest, scorer: Scorer, trace: Mapping[str, str]
    ) -> UserState | str:
        """Return the state of a request's user, or the reason why there is none."""
        categories = scorer.wanted_categories(request)
        try:
            return await self._states.read(request.user_id, categories, trace)
        except StateMissingError as error:
            return error.reason


def _observe(request: RankRequest, done: WorkDone, times: list[float]) -> None:
    seconds = metrics.RANK_SECONDS
    seconds.labels("parse").observe(times[1] - times[0])
    seconds.labels("state").observe(times[2] - times[1])
    seconds.labels("queue").observe(done.began - times[2])
    seconds.labels("score").observe(done.score_seconds)
    seconds.labels("order").observe(done.order_seconds)
    if request.explain:
        seconds.labels("explain").observe(done.explain_seconds)
    metrics.RANK_CANDIDATES.observe(len(request.candidates))
    if done.answer.degraded:
        metrics.RANK_FALLBACKS.labels(done.answer.degraded).inc()
    if done.answer.age_ms is not None:
        metrics.RANK_STATE_AGE_SECONDS.observe(max(done.answer.age_ms, 0) / 1000)
