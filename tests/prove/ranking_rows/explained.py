"""Explanations held against the same system asked without the part that they weigh.

The user is a stranger who brings the events along. The trigger is left out of the request. Memory
and single behaviors cannot be left out of one: two more models answer, of the same weights, whose
state rules let nothing into the memory, or let one event type, which feeds no part of a state by
the rules of the first, into the memory alone. An event sent as of that type is remembered as
before, and no longer a recent behavior.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from interest_center.core.ids import encode_id, shown_id
from models.bundle import Bundle, TrainingRecord, load_bundle, save_bundle
from models.ctr_model import weights_of
from prove.reading import Connection
from prove.replays import Asked, Event
from prove.rows import Bench, Check, NotShownError, equal

#: A type of the default rules that feeds no part of a state.
APART = "dislike"
NO_MEMORY, MEMORY_ALONE = "no-memory", "memory-alone"
N_EXPLAINED, TOP_K = 20, 3
N_BEHAVIORS = 3
#: No more than there are recent behaviors: where one is left out, no older one takes its place.
MOST_EVENTS = 100

Probabilities = dict[str, float]


class Worth:
    """The largest difference between what is told and what is so."""

    def __init__(self) -> None:
        self.n = 0
        self.worst = self.largest = 0.0

    def compare(self, told: float, really: float) -> None:
        """Take one."""
        self.n += 1
        self.worst = max(self.worst, abs(told - really))
        self.largest = max(self.largest, abs(really))

    def check(self, what: str, tolerance: float) -> Check:
        """Return whether all agree, and whether there was anything to see."""
        return Check(
            f"explained: worth of {what} against really leaving it out",
            f"differ by {self.worst:.1e} at most, {self.n} of them, worth up to {self.largest:.1e}",
            f"at most {tolerance:.0e}, worth more than that",
            self.worst <= tolerance < self.largest,
        )


def write_models(directory: Path, bundle: Path) -> list[str]:
    """Write the two models beside a bundle; return the ranking worker's arguments.

    Raises:
        NotShownError: By the bundle's rules no event type is without use.
    """
    own = load_bundle(bundle)
    rules = own.state
    if APART in (*rules.behavior_types, *rules.subsequence_types, *rules.memory_types):
        raise NotShownError(f"{APART} feeds a part of the states")
    with_it = (*rules.memory_types, APART)
    for name, types in ((NO_MEMORY, ()), (MEMORY_ALONE, with_it)):
        _save(own, directory / name, types)
    return [
        part for name in (NO_MEMORY, MEMORY_ALONE)
        for part in ("--model", f"{name}={directory / name}")
    ]  # fmt: skip


def _save(bundle: Bundle, directory: Path, memory_types: tuple[str, ...]) -> None:
    save_bundle(
        directory,
        bundle.manifest["config"],
        msgspec.structs.replace(bundle.state, memory_types=memory_types),
        bundle.vocabulary,
        weights_of(bundle.ranker.model),
        TrainingRecord(metrics={}, trained_on={}),
    )


def explanations(
    url: str, asked: Sequence[Asked], bench: Bench, tolerance: float
) -> Iterator[Check]:
    """Ask for explanations, and hold them against what is answered without the parts."""
    connection, rng = Connection(url), bench.rng(7, 1)
    chosen = [one for one in asked if one.request.trigger is not None and len(one.done) > 1]
    worths = {what: Worth() for what in ("the trigger", "the memory", "single behaviors")}
    n_items = with_slots = 0
    for number in rng.choice(len(chosen), N_EXPLAINED, replace=False).tolist():
        one = chosen[number]
        events = [event_of(event) for event in one.done][-MOST_EVENTS:]
        # The states have gone on since: both sides are asked now, and by what they bring along.
        body = one.request.body | {"user_id": f"stranger-{number}", "events": events}
        told = connection.post("/v1/rank", body | {"explain": True, "top_k": TOP_K})
        scores = by_item(told)
        items = told["explanation"]["items"]
        bare = {key: value for key, value in body.items() if key != "trigger"}
        for what, name, really in (
            ("the trigger", "without_trigger", by_item(connection.post("/v1/rank", bare))),
            ("the memory", "without_memory", _by_model(connection, NO_MEMORY, body)),
        ):
            for item in items:
                lost = scores[item["item_id"]] - really[item["item_id"]]
                worths[what].compare(item[name], lost)
        behaviors = told["explanation"]["behaviors"]
        for at, event in _to_leave_out(events, behaviors, one.request.trigger, rng):
            others = [e | {"event_type": APART} if e is event else e for e in events]
            really = _by_model(connection, MEMORY_ALONE, body | {"events": others})
            for item in items:
                lost = scores[item["item_id"]] - really[item["item_id"]]
                worths["single behaviors"].compare(item["without_behavior"][at], lost)
        n_items += len(items)
        with_slots += sum(
            item["slots"] is not None and abs(sum(item["slots"]) - 1) < 1e-4 for item in items
        )
    connection.close()
    for what, worth in worths.items():
        yield worth.check(what, tolerance)
    yield equal("explained: items with weights of memory slots that sum to 1", with_slots, n_items)


def _to_leave_out(
    events: Sequence[Event],
    behaviors: Sequence[dict[str, Any]],
    trigger: tuple[str, str | None] | None,
    rng: np.random.Generator,
) -> Iterator[tuple[int, Event]]:
    """Yield some behaviors, by their place in the explanation, and their events.

    None is of the trigger's category: an explanation leaves its sub-sequence as it is.
    """
    assert trigger is not None, "only requests with a trigger are explained"
    by_name = {(_shown(event["item_id"]), event["event_time_ms"]): event for event in events}
    of_trigger = None if trigger[1] is None else _shown(trigger[1])
    free = [at for at, one in enumerate(behaviors) if one["category_id"] != of_trigger]
    for at in rng.permutation(free)[:N_BEHAVIORS].tolist():
        yield at, by_name[behaviors[at]["item_id"], behaviors[at]["event_time_ms"]]


def _shown(name: str) -> str:
    """Return how an explanation calls an item or a category."""
    return shown_id(encode_id(name))


def _by_model(connection: Connection, model: str, body: dict[str, Any]) -> Probabilities:
    return by_item(connection.post("/v1/rank", body | {"model": model}))


def by_item(answer: dict[str, Any]) -> Probabilities:
    """Return the probability of each item of an answer."""
    return {item["item_id"]: float(item["probability"]) for item in answer["items"]}


def event_of(event: Event) -> Event:
    """Return an event as a request brings it."""
    names = ("item_id", "category_id", "event_type", "event_time_ms")
    return {name: event[name] for name in names if event.get(name) is not None}
