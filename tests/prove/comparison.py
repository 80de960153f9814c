"""Compares what the running system says of every user, over HTTP, with the oracle.

The comparison counts what it compared, so that an empty answer cannot pass for an equal one, and
it is itself tested each time it is used: see :func:`shown_to_fail`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prove.oracle import (
    Oracle,
    Record,
    UserState,
    with_one_doubled,
    with_one_dropped,
    with_two_swapped,
)
from prove.oracle_memory import MemoryOracle

MEMORY_TOLERANCE = 1e-4
MAX_TOLD = 5

Answer = dict[str, Any]


@dataclass
class Comparison:
    """What was compared and what differs.

    Attributes:
        users: Users compared.
        subsequences: Sub-sequences compared.
        behaviors: Behaviors compared, of rings and sub-sequences.
        memories: Memories compared that have seen an event.
        near_ties: Events at which the oracle followed the product's choice of the top channel.
        worst_memory: Largest difference of one memory value.
        differences: One sentence for each field of a user that differs.
    """

    users: int = 0
    subsequences: int = 0
    behaviors: int = 0
    memories: int = 0
    near_ties: int = 0
    worst_memory: float = 0.0
    differences: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether anything was compared and nothing differs."""
        return self.users > 0 and self.behaviors > 0 and not self.differences

    def told(self) -> str:
        """Return the outcome in one sentence."""
        if self.differences:
            some = "; ".join(self.differences[:MAX_TOLD])
            return f"{len(self.differences)} differences: {some}"
        memory = f", worst memory difference {self.worst_memory:.1e}" if self.memories else ""
        ties = f", {self.near_ties} near ties followed" if self.near_ties else ""
        return (
            f"{self.users:,} users, {self.subsequences:,} sub-sequences, "
            f"{self.behaviors:,} behaviors, "
            f"{self.memories:,} memories equal{memory}{ties}"
        )


def public(behavior: Answer) -> Answer:
    """Return the fields of a behavior that are compared."""
    names = ("item_id", "category_id", "event_type", "event_time_ms")
    return {name: behavior.get(name) for name in names}


def fields_of(state: UserState) -> Answer:
    """Return the documented JSON fields of an oracle's state; behaviors newest first."""
    return {
        "event_count": state.event_count,
        "counts": dict(state.counts),
        "last_event_time_ms": state.last_event_time_ms,
        "chain_hash": f"{state.chain:016x}",
        "behaviors": state.behaviors[::-1],
        "categories": sorted(state.subsequences),
    }


def fields_answered(answer: Answer) -> Answer:
    """Return the same fields of the system's answer."""
    return {
        "event_count": answer["event_count"],
        "counts": {kind: n for kind, n in answer["counts"].items() if n},
        "last_event_time_ms": answer["last_event_time_ms"],
        "chain_hash": answer["chain_hash"],
        "behaviors": [public(behavior) for behavior in answer["behaviors"]],
        "categories": sorted(category["category_id"] for category in answer["categories"]),
    }


def compare_profile(user: str, answer: Answer, state: UserState, into: Comparison) -> None:
    """Compare profile, ring and directory of one user."""
    got, wanted = fields_answered(answer), fields_of(state)
    into.users += 1
    into.behaviors += len(wanted["behaviors"])
    for name, value in wanted.items():
        if got[name] != value:
            into.differences.append(f"user {user}: {name} {_short(got[name])} not {_short(value)}")


def compare_subsequences(user: str, answer: Answer, state: UserState, into: Comparison) -> None:
    """Compare every sub-sequence of one user, each read by its own request."""
    for category in state.subsequences:
        read = answer["subsequences"].get(category, {"behaviors": []})
        compare_category(user, category, read, state, into)


def compare_category(
    user: str, category: str, read: Answer, state: UserState, into: Comparison
) -> None:
    """Compare the answer about one sub-sequence."""
    kept = state.subsequences.get(category)
    wanted = kept.behaviors[::-1] if kept is not None else []
    into.subsequences += 1
    into.behaviors += len(wanted)
    if [public(behavior) for behavior in read["behaviors"]] != wanted:
        into.differences.append(f"user {user}: sub-sequence {category} differs")


def compare_memory(
    user: str, answer: Answer, state: UserState, oracle: MemoryOracle, into: Comparison
) -> None:
    """Compare the memory values of one user with the float64 loop."""
    told = answer["memory"]
    if told is None:
        if state.memory_events:
            into.differences.append(f"user {user}: no memory after {len(state.memory_events)}")
        return
    values = np.asarray(told["values"], dtype=np.float64)
    wanted, near_ties = oracle.row_of(state.memory_events, follow=values)
    into.near_ties += near_ties
    into.memories += bool(state.memory_events)
    worst = float(np.abs(values - wanted).max()) if values.shape == wanted.shape else np.inf
    into.worst_memory = max(into.worst_memory, worst)
    if not worst <= MEMORY_TOLERANCE:
        into.differences.append(f"user {user}: memory differs by {worst:.2e}")


def compare(
    oracle: Oracle,
    answers: dict[str, Answer],
    memory: MemoryOracle | None,
    users: Sequence[str] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Compare users (default: every user of the oracle) with what the system answered.

    Args:
        oracle: Knows what the states must be.
        answers: What ``reading.read_users`` returned.
        memory: Computes the memories; None compares none.
        users: Only these users.
        say: Told now and then how far it is.
    """
    outcome = Comparison()
    for index, user in enumerate(oracle.users if users is None else users):
        answer = answers.get(user)
        if answer is None:
            outcome.differences.append(f"user {user}: no answer")
            continue
        state = oracle.state_of(user)
        compare_profile(user, answer, state, outcome)
        compare_subsequences(user, answer, state, outcome)
        if memory is not None:
            compare_memory(user, answer, state, memory, outcome)
        if index % 500 == 0:
            say(f"compared {index:,} users")
    return outcome


def shown_to_fail(
    oracle: Oracle, answers: dict[str, Answer], memory: MemoryOracle | None
) -> dict[str, bool]:
    """Compare with an oracle that lost, doubled or swapped one event: each must be caught.

    The user is the one with the most events that are all applied and feed the state. For the swap
    two neighbours with different items are exchanged.

    Returns:
        For each damage whether the comparison found it.
    """
    user, first = _damageable(oracle)
    own = oracle.by_user[user]
    damaged = {
        "dropped": with_one_dropped(own, first),
        "doubled": with_one_doubled(own, first),
        "swapped": with_two_swapped(own, first, first + 1),
    }
    if not compare(oracle, answers, memory, [user]).equal:
        return dict.fromkeys(damaged, False)
    return {
        name: not compare(Oracle(records), answers, memory, [user]).equal
        for name, records in damaged.items()
    }


def _damageable(oracle: Oracle) -> tuple[str, int]:
    """Return a user and the index of two neighbouring applied events with different items."""
    for user in sorted(oracle.users, key=lambda name: -len(oracle.by_user[name])):
        own = oracle.by_user[user]
        if any(record.event is None for record in own):
            continue
        for index in range(len(own) - 2, -1, -1):
            if _both_count(oracle, own, index):
                return user, index
    raise AssertionError("no user has two neighbouring applied events")


def _both_count(oracle: Oracle, own: list[Record], index: int) -> bool:
    a, b = own[index].event, own[index + 1].event
    assert a is not None
    assert b is not None
    before = oracle.state_of(own[index].user or "", own[index].offset).event_count
    after = oracle.state_of(own[index].user or "", own[index + 1].offset + 1).event_count
    feeds = a["event_type"] not in oracle.rules.feeds_nothing
    return feeds and after == before + 2 and a["item_id"] != b["item_id"]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
