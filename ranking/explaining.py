"""What the scores of a request come from: what was attended to, and what each part is worth.

The worth of a part is what really happens without it: the part is taken out of what is known of the
user, and the items are scored again.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from interest_center.core.ids import shown_id
from models.inputs import RankInputs
from models.ranker import Ranker
from ranking.messages import ExplainedBehavior, ExplainedItem, Explanation


def explanation_of(
    ranker: Ranker, inputs: RankInputs, item_ids: list[str], event_types: tuple[str, ...]
) -> Explanation:
    """Explain the scores of some items.

    Args:
        ranker: That scored them.
        inputs: Their request, with these items as its only candidates.
        item_ids: As sent, one a candidate.
        event_types: Names of the event types, in the order of their codes.
    """
    attended = ranker.attended(inputs)
    n_seen = ranker.n_seen(inputs)
    first = len(inputs.behavior_items) - n_seen
    scores = ranker.score(inputs)
    memory = trigger = None
    if inputs.memory is not None:
        memory = scores - ranker.score(replace(inputs, memory=None))
    if inputs.trigger_item:
        trigger = scores - ranker.score(replace(inputs, trigger_item=0, trigger_category=0))
    behaviors = np.zeros((n_seen, len(item_ids)))
    for number in range(n_seen):
        without = without_behavior(inputs, first + number, n_seen)
        behaviors[number] = scores - ranker.score(without)
    return Explanation(
        behaviors=[_behavior(inputs, at, event_types) for at in range(first, first + n_seen)],
        items=[
            ExplainedItem(
                item_id=item_id,
                attention=_row(attended.behaviors, number),
                slots=_row(attended.slots, number),
                without_memory=None if memory is None else float(memory[number]),
                without_trigger=None if trigger is None else float(trigger[number]),
                without_behavior=behaviors[:, number].tolist(),
            )
            for number, item_id in enumerate(item_ids)
        ],
        p_trigger=attended.p_trigger,
    )


def without_behavior(inputs: RankInputs, which: int, n_seen: int) -> RankInputs:
    """Return what the model sees of the same user without one of the behaviors that it sees.

    No older behavior takes its place. Memory and sub-sequences stay as they are.

    Args:
        inputs: The request.
        which: Of the recent behaviors.
        n_seen: How many of them the model sees, the newest.
    """
    n = len(inputs.behavior_items)
    kept = np.delete(np.arange(n - n_seen, n), which - (n - n_seen))
    return replace(
        inputs,
        behavior_items=inputs.behavior_items[kept],
        behavior_categories=inputs.behavior_categories[kept],
        behavior_types=inputs.behavior_types[kept],
        behavior_times_ms=inputs.behavior_times_ms[kept],
        n_behaviors=n if inputs.n_behaviors is None else inputs.n_behaviors,
    )


def _behavior(inputs: RankInputs, at: int, event_types: tuple[str, ...]) -> ExplainedBehavior:
    category = int(inputs.behavior_categories[at])
    return ExplainedBehavior(
        item_id=shown_id(int(inputs.behavior_items[at])),
        category_id=shown_id(category) if category else None,
        event_type=event_types[int(inputs.behavior_types[at]) - 1],
        event_time_ms=int(inputs.behavior_times_ms[at]),
    )


def _row(weights: NDArray[np.float32] | None, number: int) -> list[float] | None:
    return None if weights is None else [float(value) for value in weights[number]]
