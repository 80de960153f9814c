"""A log replayed through the running system: every request is asked at its own moment.

The replay goes in rounds. In the k-th round each user stands at the k-th moment at which something
was shown to it: the events of the user strictly before that moment are pushed, in the order of
their times; when all are applied, the user's requests of that moment are asked. So a request finds
the state that its user had then, with nothing of its own moment or later.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from prove.reading import Answer, Connection
from prove.rows import NotShownError
from prove.sending import Message, good

Event = dict[str, Any]

_MOMENT = ("user_id", "time_ms")
_REQUEST = (*_MOMENT, "page", "trigger_item_id", "trigger_category_id")


@dataclass(frozen=True)
class Request:
    """What was shown to one user at one moment.

    Attributes:
        user: Id of the user.
        time_ms: The moment.
        page: Page number, None without one.
        trigger: Item and category that the user came from, None without one.
        items: Items and their categories.
        rows: Row of the sample table of each item.
    """

    user: str
    time_ms: int
    page: int | None
    trigger: tuple[str, str | None] | None
    items: list[tuple[str, str | None]]
    rows: list[int]

    @property
    def body(self) -> dict[str, Any]:
        """The request as the ranking worker takes it; an item that was shown twice stands once."""
        asked: dict[str, Any] = {
            "user_id": self.user,
            "time_ms": self.time_ms,
            "candidates": [
                {"item_id": item, "category_id": category}
                for item, category in dict.fromkeys(self.items)
            ],
        }
        if self.page is not None:
            asked["page"] = self.page
        if self.trigger is not None:
            asked["trigger"] = {"item_id": self.trigger[0], "category_id": self.trigger[1]}
        return asked


@dataclass(frozen=True)
class Asked:
    """A request, what its user had done, and the answer.

    Attributes:
        request: The request.
        done: Events of the user before it.
        answer: Of the ranking worker.
    """

    request: Request
    done: list[Event]
    answer: Answer

    @property
    def probabilities(self) -> dict[int, float]:
        """Probability of each row of the sample table."""
        told = {item["item_id"]: item["probability"] for item in self.answer["items"]}
        return {
            row: float(told[item])
            for row, (item, _) in zip(self.request.rows, self.request.items, strict=True)
        }

    @property
    def trouble(self) -> str:
        """What is odd about the answer: degraded, or not of exactly these events."""
        if self.answer["degraded"] is not None:
            return str(self.answer["degraded"])
        newest = max((event["event_time_ms"] for event in self.done), default=None)
        if self.answer["as_of"] != newest:
            return f"as of {self.answer['as_of']}, not {newest}"
        wanted = "state" if self.done else "none"
        return "" if self.answer["history"] == wanted else f"history {self.answer['history']}"


def requests_of(samples: Path, split: str, n: int, rng: np.random.Generator) -> list[Request]:
    """Return all requests of some users, drawn until there are ``n`` or more; by user and time.

    Raises:
        NotShownError: The split holds fewer.
    """
    table = pl.read_parquet(samples).with_row_index("row").filter(pl.col("split") == split)
    grouped = table.group_by(_REQUEST, maintain_order=True).agg("item_id", "category_id", "row")
    by_user: dict[str, list[Request]] = defaultdict(list)
    for one in grouped.sort(_MOMENT).iter_rows(named=True):
        trigger = (one["trigger_item_id"], one["trigger_category_id"])
        items = list(zip(one["item_id"], one["category_id"], strict=True))
        by_user[one["user_id"]].append(
            Request(
                one["user_id"],
                one["time_ms"],
                one["page"],
                None if trigger[0] is None else trigger,
                items,
                one["row"],
            )
        )
    found: list[Request] = []
    for user in rng.permutation(sorted(by_user)):
        found += by_user[str(user)]
        if len(found) >= n:
            return found
    raise NotShownError(f"split {split} holds {len(found)} requests only")


@dataclass(frozen=True)
class Round:
    """One round of a replay.

    Attributes:
        events: To be pushed first, in this order.
        requests: To be asked then, with the events of their users up to then.
    """

    events: list[Event]
    requests: list[tuple[Request, list[Event]]]

    @property
    def messages(self) -> list[Message]:
        """The events as records."""
        return [good(event) for event in self.events]


def rounds_of(requests: Sequence[Request], events: Path) -> Iterator[Round]:
    """Yield the rounds of a replay.

    Args:
        requests: By user and time.
        events: Table of the events.
    """
    waiting: dict[str, dict[int, list[Request]]] = defaultdict(lambda: defaultdict(list))
    for request in requests:
        waiting[request.user][request.time_ms].append(request)
    table = pl.read_parquet(events).filter(pl.col("user_id").is_in(list(waiting)))
    by_user: dict[str, list[Event]] = defaultdict(list)
    for event in table.sort("event_time_ms", maintain_order=True).iter_rows(named=True):
        by_user[event["user_id"]].append(event)
    moments = {user: sorted(of_user) for user, of_user in waiting.items()}
    n_sent = dict.fromkeys(waiting, 0)
    for number in range(max(map(len, moments.values()))):
        pushed: list[Event] = []
        asked: list[tuple[Request, list[Event]]] = []
        for user, times in moments.items():
            if number >= len(times):
                continue
            own, first = by_user[user], n_sent[user]
            while n_sent[user] < len(own) and own[n_sent[user]]["event_time_ms"] < times[number]:
                n_sent[user] += 1
            pushed += own[first : n_sent[user]]
            asked += [(one, own[: n_sent[user]]) for one in waiting[user][times[number]]]
        yield Round(sorted(pushed, key=lambda event: event["event_time_ms"]), asked)


def ask(url: str, round_: Round) -> list[Asked]:
    """Ask a ranking worker the requests of a round."""
    connection = Connection(url)
    try:
        return [
            Asked(request, done, connection.post("/v1/rank", request.body))
            for request, done in round_.requests
        ]
    finally:
        connection.close()
