"""One model behind the ranking worker: what it reads of a user, and its answer to a request."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from msgspec.structs import replace as changed

from interest_center.core.layout import StateConfig
from interest_center.core.messages import UserState
from models.bundle import Bundle
from models.inputs import RankInputs
from ranking.explaining import explanation_of
from ranking.history import History, HistoryReader, no_behaviors
from ranking.messages import (
    Candidate,
    Explanation,
    RankAnswer,
    RankedItem,
    RankRequest,
    RequestEvent,
)
from ranking.ranker import answer_of, order, rank_inputs, unseen, wanted_categories

WARM_UP_ROUNDS = 20
WARM_UP_TIME_MS = 1_000_000_000_000


@dataclass(frozen=True)
class Work:
    """A request to be scored.

    Attributes:
        request: The request.
        state: State of its user, or the reason why there is none.
        time_ms: Time to rank for.
    """

    request: RankRequest
    state: UserState | str
    time_ms: int


@dataclass(frozen=True)
class WorkDone:
    """An answer and what it cost.

    Attributes:
        answer: The answer.
        began: When the scoring thread took it up, by ``time.perf_counter``.
        score_seconds: Decoding of the records, layout, model; of all that were scored together.
        order_seconds: Sorting.
        explain_seconds: The explanation, 0 without one.
    """

    answer: RankAnswer
    began: float
    score_seconds: float
    order_seconds: float
    explain_seconds: float


@dataclass(frozen=True)
class _Prepared:
    work: Work
    history: History
    candidates: list[Candidate]
    inputs: RankInputs


class Scorer:
    """A bundle that answers requests; pure but for the clock of its report.

    Args:
        bundle: What scores.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._reader = HistoryReader(bundle.state, bundle.updater)

    def check(self, request: RankRequest) -> None:
        """Refuse what this bundle does not know.

        Raises:
            BadRequestError: An event type is not one of the bundle's.
        """
        self._reader.codes_of(request.events)

    def wanted_categories(self, request: RankRequest) -> list[int]:
        """Return the categories whose sub-sequences it reads of a request's user."""
        return wanted_categories(request, self.bundle.ranker)

    def work_all(self, works: Sequence[Work]) -> list[WorkDone | Exception]:
        """Do everything that needs the processor: decode, score, order.

        Returns:
            Of each request its answer, or why there is none.
        """
        try:
            return list(self._work_together(works))
        except Exception as error:
            if len(works) == 1:
                return [error]
            # What is wrong with one of them is no matter of the others.
            return [self.work_all([one])[0] for one in works]

    def _work_together(self, works: Sequence[Work]) -> Iterator[WorkDone]:
        began = time.perf_counter()
        prepared = [self._prepare(one) for one in works]
        scores = self.bundle.ranker.score_all([one.inputs for one in prepared])
        score_seconds = time.perf_counter() - began
        for one, probabilities in zip(prepared, scores, strict=True):
            request, begun = one.work.request, time.perf_counter()
            ordered = order(one.candidates, probabilities, request.top_k, request.reserve)
            sorted_at = time.perf_counter()
            explanation = None
            if request.explain:
                explanation = self._explain(one.candidates, one.inputs, ordered.items)
            explained = time.perf_counter()
            answer = answer_of(
                request,
                one.history,
                ordered,
                self.bundle.fingerprint,
                one.work.time_ms,
                explanation,
            )
            yield WorkDone(answer, began, score_seconds, sorted_at - begun, explained - sorted_at)

    def _prepare(self, work: Work) -> _Prepared:
        request, state = work.request, work.state
        known = self._reader.missing(state) if isinstance(state, str) else self._reader.read(state)
        history = self._reader.complete(known, request.events)
        scored = changed(request, candidates=unseen(request, history))
        inputs = rank_inputs(scored, history, work.time_ms)
        return _Prepared(work, history, scored.candidates, inputs)

    def _explain(
        self, candidates: list[Candidate], inputs: RankInputs, items: list[RankedItem]
    ) -> Explanation:
        """Explain what is returned, which may be nothing."""
        if not items:
            return Explanation([], [], None)
        place = {candidate.item_id: at for at, candidate in enumerate(candidates)}
        chosen = np.array([place[item.item_id] for item in items], np.int64)
        own = replace(
            inputs,
            candidate_items=inputs.candidate_items[chosen],
            candidate_categories=inputs.candidate_categories[chosen],
        )
        names = [item.item_id for item in items]
        return explanation_of(self.bundle.ranker, own, names, self.bundle.state.event_types)

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
            if n_candidates == 100:
                self.bundle.ranker.score_all([inputs, inputs])


def warm_up_type(state: StateConfig) -> str:
    """Return the event type that feeds most: the memory, if any does, and the ring if possible."""
    return max(
        state.event_types,
        key=lambda name: (name in state.memory_types, name in state.behavior_types),
    )
