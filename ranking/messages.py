"""What a ranking request and its answer look like, and the strict check of a request.

A wrong request is refused with the dotted path of the field that is wrong; nothing is converted,
guessed or ignored: an unknown field is an error too, because it is most often a misspelt one.
"""

import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta

from interest_center.core.errors import BadRequestError
from interest_center.core.events import Id, Page, TimeMs

MAX_BODY_BYTES = 4 << 20
MAX_CANDIDATES = 10_000
MAX_EVENTS = 1000
MAX_BID = 1e12
#: A NaN is looked for in bodies up to here: the search keeps the event loop from all else.
MAX_SEARCHED_BYTES = 64 << 10

BODY_FIELD = "body"


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
    """

    user_id: Id
    candidates: Annotated[list[Candidate], Meta(min_length=1, max_length=MAX_CANDIDATES)]
    trigger: Id | Trigger | None = None
    page: Page | None = None
    time_ms: TimeMs | None = None
    top_k: Annotated[int, Meta(ge=1, le=MAX_CANDIDATES)] | None = None
    events: Annotated[list[RequestEvent], Meta(max_length=MAX_EVENTS)] = []

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
    """

    user_id: str
    items: list[RankedItem]
    as_of: int | None
    age_ms: int | None
    model: str
    degraded: str | None
    history: str
    watermark: int | None


_REQUEST_DECODER = msgspec.json.Decoder(RankRequest)
# msgspec ends a message with the place; a missing or unknown field it names in the message.
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(.*)`\Z")
_NAMED_FIELD = re.compile(r"(?:missing required field|contains unknown field) `(.*)`\Z", re.DOTALL)


def decode_request(body: bytes) -> RankRequest:
    """Read and check a request.

    Args:
        body: JSON.

    Raises:
        BadRequestError: It is wrong; the error names the field.
    """
    if len(body) > MAX_BODY_BYTES:
        raise BadRequestError(f"a request has at most {MAX_BODY_BYTES} bytes", BODY_FIELD)
    try:
        request = _REQUEST_DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise refusal(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        refuse_malformed(body, error)
    check_candidates(request.candidates)
    check_events(request.events)
    return request


def refusal(text: str) -> BadRequestError:
    """Turn what msgspec says into a short fact and a dotted path."""
    place = _PLACE.search(text)
    path = place.group(1) if place else ""
    fact = text[: place.start()] if place else text
    named = _NAMED_FIELD.search(fact)
    if named:
        path = f"{path}.{named.group(1)}" if path else named.group(1)
        fact = "required, but missing" if "missing" in fact else "not a field of the request"
    return BadRequestError(fact.replace("`", "").lower(), path[:200] or BODY_FIELD)


def refuse_malformed(body: bytes, error: Exception) -> NoReturn:
    """Refuse what is not JSON; a NaN or an infinity, which some clients write, by its field.

    In a body longer than ``MAX_SEARCHED_BYTES`` the field is not looked for.

    Raises:
        BadRequestError: Always.
    """
    place = None
    if len(body) <= MAX_SEARCHED_BYTES:
        with suppress(ValueError, RecursionError):
            place = next(not_finite(json.loads(body)), None)
    if place:
        raise BadRequestError("expected a finite number", place) from error
    reason = str(error).removeprefix("JSON is malformed: ")
    raise BadRequestError(f"not valid json: {reason.lower()}", BODY_FIELD) from error


def not_finite(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of the numbers that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path or BODY_FIELD
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from not_finite(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from not_finite(inner, f"{path}[{index}]")


def check_candidates(candidates: list[Candidate]) -> None:
    """Refuse an item that is given twice, and bids that only some candidates have."""
    wants_bids = candidates[0].bid is not None
    seen: dict[str, int] = {}
    for index, candidate in enumerate(candidates):
        first = seen.setdefault(candidate.item_id, index)
        if first != index:
            raise BadRequestError(
                f"the same item as candidates[{first}]", f"candidates[{index}].item_id"
            )
        if (candidate.bid is not None) != wants_bids:
            raise BadRequestError(
                "either every candidate has a bid or none has", f"candidates[{index}].bid"
            )


def check_events(events: list[RequestEvent]) -> None:
    """Refuse events that are not oldest first: the models read them in the order given."""
    for index in range(1, len(events)):
        if events[index].event_time_ms < events[index - 1].event_time_ms:
            raise BadRequestError(
                "earlier than the event before it; events are given oldest first",
                f"events[{index}].event_time_ms",
            )
