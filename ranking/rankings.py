"""One request from its bytes to the bytes of its answer, with the time of each stage."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from interest_center import metrics
from interest_center.core.errors import BadRequestError, NotReadyError
from interest_center.core.layout import StateConfig
from interest_center.core.messages import UserState
from models.bundle import Bundle
from ranking.history import History, HistoryReader, no_behaviors
from ranking.messages import Candidate, RankAnswer, RankRequest, RequestEvent, decode_request
from ranking.ranker import answer_of, order, rank_inputs, wanted_categories
from ranking.state_client import StateClient, StateMissingError

#: Requests that are worked on or wait for it at once; about a second of work with 100 candidates.
MAX_AT_ONCE = 200
WARM_UP_ROUNDS = 20
WARM_UP_TIME_MS = 1_000_000_000_000

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True)
class WorkDone:
    """An answer and what it cost.

    Attributes:
        answer: The answer.
        began: When the scoring thread took it up, by ``time.perf_counter``.
        score_seconds: Decoding of the records, layout, model.
        order_seconds: Sorting.
    """

    answer: RankAnswer
    began: float
    score_seconds: float
    order_seconds: float


def warm_up_type(state: StateConfig) -> str:
    """Return the event type that feeds most: the memory, if any does, and the ring if possible."""
    return max(
        state.event_types,
        key=lambda name: (name in state.memory_types, name in state.behavior_types),
    )


class Rankings:
    """Answers ranking requests with one bundle.

    Models run in a thread of their own, one request at a time, so that the event loop goes on
    reading states for the next ones meanwhile. At most ``MAX_AT_ONCE`` requests are inside: to be
    refused at once is better than to wait for an answer that comes too late.

    Args:
        bundle: What scores.
        states: Where the states are read.
        now_ms: The clock.
    """

    def __init__(self, bundle: Bundle, states: StateClient, now_ms: Callable[[], int]) -> None:
        self.bundle = bundle
        self._states = states
        self._now_ms = now_ms
        self._reader = HistoryReader(bundle.state, bundle.updater)
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="score")
        self._n_inside = 0
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
            NotReadyError: Too many others are being answered.
        """
        if self._n_inside >= MAX_AT_ONCE:
            metrics.RANK_REQUESTS.labels("rejected").inc()
            raise NotReadyError(f"{self._n_inside} rankings are waiting already")
        result = "failed"
        started = time.perf_counter()
        self._n_inside += 1
        try:
            answer = await self._rank(body)
            result = "degraded" if answer.degraded else "ok"
            return _ENCODER.encode(answer)
        except BadRequestError:
            result = "bad_request"
            raise
        finally:
            self._n_inside -= 1
            metrics.RANK_REQUESTS.labels(result).inc()
            metrics.RANK_SECONDS.labels("total").observe(time.perf_counter() - started)

    async def _rank(self, body: bytes) -> RankAnswer:
        times = [time.perf_counter()]
        request = decode_request(body)
        # A wrong event type must be refused before the state decides whether events are needed.
        self._reader.codes_of(request.events)
        times.append(time.perf_counter())
        state = await self._state(request)
        times.append(time.perf_counter())
        time_ms = self._now_ms() if request.time_ms is None else request.time_ms
        loop = asyncio.get_running_loop()
        done = await loop.run_in_executor(self._threads, self.work, request, state, time_ms)
        self._observe(request, done, times)
        return done.answer

    async def _state(self, request: RankRequest) -> UserState | str:
        """Return the state of a request's user, or the reason why there is none."""
        categories = wanted_categories(request, self.bundle.ranker)
        try:
            return await self._states.read(request.user_id, categories)
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
        inputs = rank_inputs(request, history, time_ms)
        probabilities = self.bundle.ranker.score(inputs)
        scored = time.perf_counter()
        items = order(request.candidates, probabilities, request.top_k)
        answer = answer_of(request, history, items, self.bundle.fingerprint, time_ms)
        return WorkDone(answer, began, scored - began, time.perf_counter() - scored)

    def _observe(self, request: RankRequest, done: WorkDone, times: list[float]) -> None:
        seconds = metrics.RANK_SECONDS
        seconds.labels("parse").observe(times[1] - times[0])
        seconds.labels("state").observe(times[2] - times[1])
        seconds.labels("queue").observe(done.began - times[2])
        seconds.labels("score").observe(done.score_seconds)
        seconds.labels("order").observe(done.order_seconds)
        metrics.RANK_CANDIDATES.observe(len(request.candidates))
        if done.answer.degraded:
            metrics.RANK_FALLBACKS.labels(done.answer.degraded).inc()
        if done.answer.age_ms is not None:
            metrics.RANK_STATE_AGE_SECONDS.observe(max(done.answer.age_ms, 0) / 1000)

    def warm_up(self) -> None:
        """Score made-up requests, so that the first real one finds everything compiled."""
        event_type = warm_up_type(self.bundle.state)
        unknown = History(no_behaviors())
        known = self.bundle.vocabulary.items
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
                inputs = rank_inputs(request, history, WARM_UP_TIME_MS)
                # Items that the model does not know are all the same to it, and scored once.
                inputs = replace(inputs, candidate_items=np.resize(known, n_candidates))
                order(request.candidates, self.bundle.ranker.score(inputs), None)
