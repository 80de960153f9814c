"""Puts duplicates, late events, erasures, dead letters and transactions among a real log's events.

The share of each is small and drawn from a seeded stream; what becomes of each is not decided here
but by the oracle, in the order in which the broker appended them.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from prove.logs import Event
from prove.malformed import malformed_messages
from prove.rows import Check
from prove.sending import Message, erasure, good

LATE_MS = 86_400_000

#: Chance per event of the log that one of these follows it.
SHARES = {"duplicate": 0.02, "far_duplicate": 0.003, "late": 0.01, "just_in_time": 0.005}
ERASED_USERS = 0.02
WITHOUT_CATEGORY = 0.03
PART_EVENTS = 1_500


#: What every plan has to hold to prove anything.
NEEDED = ("duplicate", "late", "just_in_time", "erasure", "malformed", "aborted")


@dataclass
class Plan:
    """What to send: parts in order (``plain``, ``commit`` or ``abort``), and what is in them."""

    parts: list[tuple[str, list[Message]]] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)

    def told(self, name: str) -> Check:
        """Return the check that everything needed is in it."""
        return Check(
            name,
            ", ".join(f"{kind} {n:,}" for kind, n in sorted(self.injected.items())),
            f"some of each: {', '.join(NEEDED)}",
            all(self.injected[kind] for kind in NEEDED),
        )


class Injector:
    """Walks a log once and adds what a real stream brings along."""

    def __init__(self, rng: np.random.Generator, n_partitions: int, n_malformed: int) -> None:
        self.rng = rng
        self.n_partitions = n_partitions
        self.n_malformed = n_malformed
        self.sent_of: dict[str, list[Event]] = {}
        self.plan = Plan()
        self.malformed: list[Message] = []

    def inject(self, events: list[Event]) -> Plan:
        """Return the plan for a log sorted by time."""
        users = sorted({event["user_id"] for event in events})
        n_erased = max(2, int(len(users) * ERASED_USERS))
        erased = set(self.rng.choice(len(events), size=n_erased, replace=False).tolist())
        self.malformed = malformed_messages(self.rng, self.n_partitions, self.n_malformed, users)
        malformed_every = max(1, len(events) // max(1, len(self.malformed)))
        part: list[Message] = []
        for index, complete in enumerate(events):
            event = self._perhaps_without_category(complete)
            part.append(good(event))
            self.sent_of.setdefault(event["user_id"], []).append(event)
            part += self._extras(event)
            if index in erased:
                part.append(self._named("erasure", erasure(event["user_id"])))
                if index % 2:  # Once more, and of a user that is empty by now.
                    part.append(self._named("erasure", erasure(event["user_id"])))
            if index % malformed_every == 0 and self.malformed:
                part.append(self._named("malformed", self.malformed.pop()))
            if len(part) >= PART_EVENTS:
                self._close(part)
                part = []
        part += [self._named("malformed", message) for message in self.malformed]
        self._close(part)
        return self.plan

    def _perhaps_without_category(self, event: Event) -> Event:
        if self.rng.random() >= WITHOUT_CATEGORY:
            return event
        self.plan.injected["without category"] += 1
        return {name: value for name, value in event.items() if name != "category_id"}

    def _named(self, kind: str, message: Message) -> Message:
        self.plan.injected[kind] += 1
        return message

    def _extras(self, event: Event) -> list[Message]:
        """Return what follows one event of the log, mostly nothing."""
        extras: list[Message] = []
        past = self.sent_of[event["user_id"]]
        draws = self.rng.random(len(SHARES))
        chosen = [kind for kind, draw in zip(SHARES, draws, strict=True) if draw < SHARES[kind]]
        for kind in chosen:
            if kind == "duplicate":
                recent = past[-100:]
                extras.append(self._named(kind, good(recent[self.rng.integers(len(recent))])))
            elif kind == "far_duplicate" and len(past) > 140:
                # Too long ago to be known: by the documented rule it counts as new.
                extras.append(self._named(kind, good(past[self.rng.integers(len(past) - 140)])))
            elif kind in ("late", "just_in_time"):
                extras.append(self._named(kind, good(self._moved(event, kind))))
        return extras

    def _moved(self, event: Event, kind: str) -> Event:
        """Return the event under a new id, just beyond or just at the limit of lateness."""
        newest = max(past["event_time_ms"] for past in self.sent_of[event["user_id"]])
        beyond = 1 + int(self.rng.integers(3) * 3_600_000) if kind == "late" else 0
        name = f"{event['event_id']}-{kind}"
        return {**event, "event_id": name, "event_time_ms": newest - LATE_MS - beyond}

    def _close(self, part: list[Message]) -> None:
        """Add a part; some are sent in a transaction, and some transactions are aborted first."""
        if not part:
            return
        draw = self.rng.random()
        if draw < 0.2:
            doomed = [self._doomed(m) for m in part[: int(self.rng.integers(1, 60))] if m.event]
            self.plan.injected["aborted"] += len(doomed)
            self.plan.parts.append(("abort", doomed))
        how = "commit" if draw > 0.8 else "plain"
        if how == "commit":
            self.plan.injected["in committed transactions"] += len(part)
        self.plan.parts.append((how, part))

    @staticmethod
    def _doomed(message: Message) -> Message:
        """Return an event that would be seen and counted if its transaction were not aborted."""
        assert message.event is not None
        event = {**message.event, "event_id": message.event["event_id"] + "-aborted"}
        return good(event)
