"""Every wrong request is refused with the field that is wrong."""

import pytest
from ranking_requests import MALFORMED, TIME_MS, event_with, request_with

from interest_center.core.errors import BadRequestError
from ranking.messages import RankRequest, Trigger
from ranking.request_reading import MAX_SEARCHED_BYTES, decode_request


@pytest.mark.parametrize(("body", "field"), MALFORMED.values(), ids=MALFORMED)
def test_a_wrong_request_is_refused_by_its_field(body: bytes, field: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        decode_request(body)
    assert refused.value.field == field
    assert refused.value.message
    assert not refused.value.message[0].isupper()
    assert "`" not in refused.value.message


def test_the_table_is_long_enough() -> None:
    assert len(MALFORMED) >= 60


def test_a_full_request_is_read() -> None:
    body = request_with(
        candidates=[
            {"item_id": "1", "category_id": "c", "bid": 0.5},
            {"item_id": "zwei-ß", "category_id": None, "bid": 0},
        ],
        trigger={"item_id": "9", "category_id": "c"},
        page=0,
        time_ms=TIME_MS,
        top_k=1,
        events=[event_with(), event_with(event_type="cart", category_id="c")],
    )
    request = decode_request(body)
    assert [candidate.bid for candidate in request.candidates] == [0.5, 0]
    assert request.trigger_item == Trigger("9", "c")
    assert request.candidates[1].item_id == "zwei-ß"
    assert [event.event_type for event in request.events] == ["click", "cart"]


def test_the_shortest_request_is_read() -> None:
    request = decode_request(request_with())
    assert isinstance(request, RankRequest)
    assert [candidate.bid for candidate in request.candidates] == [None, None]
    assert request.trigger_item is None
    assert request.top_k is None


def test_a_trigger_may_be_an_item_id() -> None:
    assert decode_request(request_with(trigger="9")).trigger_item == Trigger("9")


def test_a_number_that_json_lacks_is_looked_for_in_small_bodies_only() -> None:
    """The search takes the event loop: megabytes would keep it from all other requests."""
    body = request_with(candidates=[{"item_id": "1", "bid": float("nan")}])
    fields = {}
    for size in (MAX_SEARCHED_BYTES, MAX_SEARCHED_BYTES + 1):
        with pytest.raises(BadRequestError) as refused:
            decode_request(body + b" " * (size - len(body)))
        fields[size] = refused.value.field
    assert list(fields.values()) == ["candidates[0].bid", "body"]
