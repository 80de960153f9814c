"""What a ranking request and its answer look like; ``request_reading.py`` reads and checks them."""

from typing import Annotated

import msgspec
from msgspec import Meta

from interest_center.core.events import Id, Page, TimeMs

MAX_CANDIDATES = 10_000
MAX_EVENTS = 1000
MAX_BID = 1e12
MAX_EXPLAINED = 20
#: Requests in one call.
MAX_BATCH = 100


class Candidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item to score.

    Attributes:
        item_id: As in the events; an item that the bundle does not know is scored all the same.
        category_id: Its category; without it the one that the bundle knows.
        bid: What a click pays. Either every candidate has one, and the order is by
            probability x bid (eCPM), or none has.
    """

    item_id: Id
    category_id: Id | None = None
    bid: Annotated[float, Meta(ge=0, le=MAX_BID)] | None = None


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The item from which the user opened the page that is being ranked."""

    item_id: Id
    category_id: Id | None = None


class RequestEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A behavior event that comes with the request, for a user whose state is not known."""

    item_id: Id
    event_time_ms: TimeMs
    category_id: Id | None = None
    event_type: Id = "click"


class RankRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Order these candidates for this user.

    Attributes:
        user_id: As in the events.
        candidates: Items to score, each once.
        trigger: Item the user came from, as an object or as its item id.
        page: Page number of the list that is ranked, from 0.
        time_ms: Time to rank for, between 2000 and 2100; the time of arrival when missing.
        top_k: How many items to return; all when missing.
        events: Behaviors, oldest first, used when the center knows no event of the user or cannot
            be asked in time; otherwise ignored, and ``history`` of the answer says so.
        reserve: Least score of an item that is returned; with bids only.
        exclude_seen: Leave out candidates that are among the user's recent behaviors.
        model: Which of the ranker's models scores; the first one it was given when missing.
        explain: Say what the scores come from, of the items returned; with ``top_k`` of
            ``MAX_EXPLAINED`` at most, since each part is taken away and everything scored again.
    """

    user_id: Id
    candidates: Annotated[list[Candidate], Meta(min_length=1, max_length=MAX_CANDIDATES)]
    trigger: Id | Trigger | None = None
    page: Page | None = None
    time_ms: TimeMs | None = None
    top_k: Annotated[int, Meta(ge=1, le=MAX_CANDIDATES)] | None = None
    events: Annotated[list[RequestEvent], Meta(max_length=MAX_EVENTS)] = []
    reserve: Annotated[float, Meta(ge=0, le=MAX_BID)] | None = None
    exclude_seen: bool = False
    model: Id | None = None
    explain: bool = False

    @property
    def trigger_item(self) -> Trigger | None:
        """The trigger in its long form."""
        return Trigger(self.trigger) if isinstance(self.trigger, str) else self.trigger


class RankedItem(msgspec.Struct, frozen=True):
    """One candidate at its place.

    Attributes:
        item_id: As sent.
        rank: 1 for the best.
        score: What the order is by: ``probability``, times the bid when bids were sent.
        probability: Of a click.
    """

    item_id: str
    rank: int
    score: float
    probability: float


class ExplainedBehavior(msgspec.Struct, frozen=True):
    """A behavior that the scores have seen; hashed ids are shown as ``#`` and 16 digits."""

    item_id: str
    category_id: str | None
    event_type: str
    event_time_ms: int


class ExplainedItem(msgspec.Struct, frozen=True):
    """What the probability of one item comes from.

    Attributes:
        item_id: As sent.
        attention: Weight of each behavior, in the order of ``behaviors``, on the model's own scale;
            None where the model attends to none.
        slots: Weight of each memory slot; None without a memory.
        without_memory: Probability minus that without the memory; None without one.
        without_trigger: The same of the trigger; None without one.
        without_behavior: The same of each behavior, in the order of ``behaviors``.
    """

    item_id: str
    attention: list[float] | None
    slots: list[float] | None
    without_memory: float | None
    without_trigger: float | None
    without_behavior: list[float]


class Explanation(msgspec.Struct, frozen=True):
    """What the scores come from.

    Attributes:
        behaviors: What the model saw of the recent behaviors, oldest first.
        items: The items returned, in their order.
        p_trigger: How far the user follows the trigger; None where the model does not say it.
    """

    behaviors: list[ExplainedBehavior]
    items: list[ExplainedItem]
    p_trigger: float | None


class RankAnswer(msgspec.Struct, frozen=True):
    """The order, and what it was made from.

    Attributes:
        user_id: As sent.
        items: Best first; equal scores in the order of their item ids.
        as_of: Event time in ms of the user's last event that the scores have seen, None without.
        age_ms: ``time_ms`` of the request minus ``as_of``; negative when asked for an earlier time.
        model: Fingerprint of the bundle that scored.
        degraded: None, or why a part of the state is missing from the scores:
            ``memory_mismatch`` (the memory was written by other weights), ``memory_not_built``,
            ``state_timeout``, ``state_unavailable``, ``state_mismatch`` (the worker follows other
            state rules than the bundle), ``state_unreadable``.
        history: Where the behaviors came from: ``state``, ``request`` or ``none``.
        watermark: Next offset of the user's partition when the state was read, None without one.
        n_left_out: Candidates left out as seen (``exclude_seen``) or below the ``reserve``.
        explanation: Where it was asked for.
    """

    user_id: str
    items: list[RankedItem]
    as_of: int | None
    age_ms: int | None
    model: str
    degraded: str | None
    history: str
    watermark: int | None
    n_left_out: int = 0
    explanation: Explanation | None = None


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several rankings in one call; each is answered by itself.

    Attributes:
        requests: As of ``/v1/rank``.
    """

    requests: Annotated[list[RankRequest], Meta(min_length=1, max_length=MAX_BATCH)]


class BatchAnswer(msgspec.Struct, frozen=True):
    """The answers, in the order of the requests."""

    answers: list[RankAnswer]
