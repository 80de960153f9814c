"""From a user's history and candidates to an ordered list. Pure: no clock, no I/O."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import BundleError
from interest_center.core.ids import encode_id
from models.inputs import RankInputs
from models.ranker import Ranker
from ranking.history import History
from ranking.messages import Candidate, Explanation, RankAnswer, RankedItem, RankRequest


def category_ids(texts: Sequence[str | None]) -> NDArray[np.uint64]:
    """Return the ids of categories, 0 where there is none."""
    return np.array([0 if text is None else encode_id(text) for text in texts], np.uint64)


def candidate_ids(request: RankRequest) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return item and category ids of the candidates."""
    candidates = request.candidates
    items = np.array([encode_id(one.item_id) for one in candidates], np.uint64)
    return items, category_ids([one.category_id for one in candidates])


def trigger_ids(request: RankRequest) -> tuple[int, int]:
    """Return item and category id of the trigger, 0 where there is none."""
    trigger = request.trigger_item
    if trigger is None:
        return 0, 0
    category = 0 if trigger.category_id is None else encode_id(trigger.category_id)
    return encode_id(trigger.item_id), category


def wanted_categories(request: RankRequest, ranker: Ranker) -> list[int]:
    """Return the categories whose sub-sequences a model reads of a request's user."""
    if not ranker.searches:
        return []
    categories: list[int] = ranker.wanted_categories(
        *candidate_ids(request), *trigger_ids(request)
    ).tolist()
    return categories


def rank_inputs(request: RankRequest, history: History, time_ms: int) -> RankInputs:
    """Lay a request and a history out as the models read them.

    A category that the request does not give is left to the bundle, which knows its items.

    Args:
        request: The request.
        history: The user's.
        time_ms: Time to rank for.
    """
    items, categories = candidate_ids(request)
    trigger_item, trigger_category = trigger_ids(request)
    return RankInputs(
        behavior_items=history.behaviors.item,
        behavior_categories=history.behaviors.category,
        behavior_types=history.behaviors.event_type,
        behavior_times_ms=history.behaviors.event_time_ms,
        memory=history.memory,
        candidate_items=items,
        candidate_categories=categories,
        time_ms=time_ms,
        page=request.page,
        trigger_item=trigger_item,
        trigger_category=trigger_category,
        n_behaviors=history.n_behaviors,
        user=encode_id(request.user_id),
        subsequences=history.subsequences,
    )


class Ordered(NamedTuple):
    """The best items, best first, and how many candidates were below the reserve."""

    items: list[RankedItem]
    n_below: int


def unseen(request: RankRequest, history: History) -> list[Candidate]:
    """Return the candidates, without those that the user has done something with lately."""
    if not request.exclude_seen:
        return request.candidates
    seen = set(history.behaviors.item.tolist())
    return [one for one in request.candidates if encode_id(one.item_id) not in seen]


def order(
    candidates: Sequence[Candidate],
    probabilities: NDArray[np.float64],
    top_k: int | None,
    reserve: float | None = None,
) -> Ordered:
    """Order candidates by probability, times the bid when there are bids; ties by item id.

    Args:
        candidates: What was scored.
        probabilities: Of a click, one a candidate.
        top_k: How many to return, None for all.
        reserve: Least score of what is returned, None for none.

    Raises:
        BundleError: A probability is not a number.
    """
    if not np.isfinite(probabilities).all():
        raise BundleError("the bundle gives scores that are not numbers")
    values = probabilities.tolist()
    scores = [
        value if candidate.bid is None else value * candidate.bid
        for candidate, value in zip(candidates, values, strict=True)
    ]
    enough = [i for i, score in enumerate(scores) if reserve is None or score >= reserve]
    ordered = sorted(enough, key=lambda i: (-scores[i], candidates[i].item_id))
    items = [
        RankedItem(candidates[index].item_id, place, scores[index], values[index])
        for place, index in enumerate(ordered[:top_k], start=1)
    ]
    return Ordered(items, len(scores) - len(enough))


def answer_of(
    request: RankRequest,
    history: History,
    ordered: Ordered,
    model: str,
    time_ms: int,
    explanation: Explanation | None = None,
) -> RankAnswer:
    """Say what the order is and what it was made from.

    Args:
        request: As it came.
        history: The user's.
        ordered: What is returned.
        model: Fingerprint of the bundle that scored.
        time_ms: Time that was ranked for.
        explanation: Where it was asked for.
    """
    n_unseen = len(unseen(request, history))
    as_of = history.as_of_ms
    return RankAnswer(
        user_id=request.user_id,
        items=ordered.items,
        as_of=as_of,
        age_ms=None if as_of is None else time_ms - as_of,
        model=model,
        degraded=history.degraded,
        history=history.source,
        watermark=history.watermark,
        n_left_out=len(request.candidates) - n_unseen + ordered.n_below,
        explanation=explanation,
    )
