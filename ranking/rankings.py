"""One request from its bytes to the bytes of its answer, with the time of each stage."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from interest_center import metrics
from interest_center.core.errors import BadRequestError
from interest_center.core.messages import UserState
from models.bundle import Bundle
from ranking.catalog import BundleCatalog, Catalog
from ranking.history import History, HistoryReader, no_behaviors
from ranking.messages import Candidate, RankAnswer, RankRequest, RequestEvent, decode_request
from ranking.ranker import answer_of, order, rank_inputs
from ranking.state_client import StateClient, StateMissingError

WARM_UP_ROUNDS = 20
WARM_UP_TIME_MS = 1_000_000_000_000

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True)
class WorkDone:
    """An answer and what it cost.

    Attributes:
        answer: The answer.
        score_seconds: Decoding of the records, layout, model.
        order_seconds: Sorting.
    """

    answer: RankAnswer
    score_seconds: float
    order_seconds: float


class Rankings:
    """Answers ranking requests with one bundle.

    Models run in a thread of their own, one request at a time, so that the event loop goes on
    reading states for the next ones meanwhile.

    Args:
        bundle: What scores.
        states: Where the states are read.
        now_ms: The clock.
        catalog: Knows items; the bundle alone when None.
    """

    def __init__(
        self,
        bundle: Bundle,
        states: StateClient,
        now_ms: Callable[[], int],
        catalog: Catalog | None = None,
    ) -> None:
        self.bundle = bundle
        self._states = states
        self._now_ms = now_ms
        self._catalog = catalog or BundleCatalog()
        self._reader = HistoryReader(bundle.state, bundle.updater)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="score")
        metrics.RANK_MODEL.labels(
            bundle.name, bundle.fingerprint, f"{bundle.memory_fingerprint:016x}"
        ).set(1)

    @property
    def has_owners(self) -> bool:
        """Whether a worker has ever said who owns what."""
        return self._states.has_owners

    def close(self) -> None:
        """End the scoring thread when it is done with what it has."""
        self._threads.shutdown(wait=True)

    async def rank(self, body: bytes) -> bytes:
        """Answer one request and count it.

        Raises:
            BadRequestError: The request is wrong.
        """
        result = "failed"
        started = time.perf_counter()
        try:
            answer = await self._rank(body)
            result = "degraded" if answer.degraded else "ok"
            return _ENCODER.encode(answer)
        except BadRequestError:
            result = "bad_request"
            raise
        finally:
            metrics.RANK_REQUESTS.labels(result).inc()
            metrics.RANK_SECONDS.labels("total").observe(time.perf_counter() - started)

    async def _rank(self, body: bytes) -> RankAnswer:
        times = [time.perf_counter()]
        request = decode_request(body)
        # A wrong event type must be refused before the state decides whether events are needed.
        self._reader.codes_of(request.events)
        times.append(time.perf_counter())
        state = await self._state(request.user_id)
        times.append(time.perf_counter())
        time_ms = self._now_ms() if request.time_ms is None else request.time_ms
        loop = asyncio.get_running_loop()
        done = await loop.run_in_executor(self._threads, self.work, request, state, time_ms)
        self._observe(request, done, times)
        return done.answer

    async def _state(self, user_id: str) -> UserState | str:
        """Return the state of a user, or the reason why there is none."""
        try:
            return await self._states.read(user_id)
        except StateMissingError as error:
            return error.reason

    def work(self, request: RankRequest, state: UserState | str, time_ms: int) -> WorkDone:
        """Do everything that needs the processor: decode, score, order.

        Args:
            request: The request.
            state: State of its user, or the reason why there is none.
            time_ms: Time to rank for.
        """
        began = time.perf_counter()
        if isinstance(state, str):
            history = self._reader.missing(state)
        else:
            history = self._reader.read(state)
        history = self._reader.complete(history, request.events)
        inputs = rank_inputs(request, history, self._catalog, time_ms)
        probabilities = self.bundle.ranker.score(inputs)
        scored = time.perf_counter()
        items = order(request.candidates, probabilities, request.top_k)
        answer = answer_of(request, history, items, self.bundle.fingerprint, time_ms)
        return WorkDone(answer, scored - began, time.perf_counter() - scored)

    def _observe(self, request: RankRequest, done: WorkDone, times: list[float]) -> None:
        seconds = metrics.RANK_SECONDS
        seconds.labels("parse").observe(times[1] - times[0])
        seconds.labels("state").observe(times[2] - times[1])
        seconds.labels("score").observe(done.score_seconds)
        seconds.labels("order").observe(done.order_seconds)
        metrics.RANK_CANDIDATES.observe(len(request.candidates))
        if done.answer.degraded:
            metrics.RANK_FALLBACKS.labels(done.answer.degraded).inc()
        if done.answer.age_ms is not None:
            metrics.RANK_STATE_AGE_SECONDS.observe(max(done.answer.age_ms, 0) / 1000)

    def warm_up(self) -> None:
        """Score made-up requests, so that the first real one finds everything compiled."""
        event_type = self.bundle.state.behavior_types[0]
        unknown = History(no_behaviors())
        for n_candidates, n_events in ((1, 0), (100, 100), (1000, 100)):
            request = RankRequest(
                user_id="warm-up",
                candidates=[Candidate(str(item)) for item in range(1, n_candidates + 1)],
                events=[
                    RequestEvent(str(item), WARM_UP_TIME_MS + item, event_type=event_type)
                    for item in range(1, n_events + 1)
                ],
            )
            for _ in range(WARM_UP_ROUNDS if n_candidates <= 100 else 1):
                history = self._reader.complete(unknown, request.events)
                inputs = rank_inputs(request, history, self._catalog, WARM_UP_TIME_MS)
                order(request.candidates, self.bundle.ranker.score(inputs), None)
