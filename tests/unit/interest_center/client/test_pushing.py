"""Events that are refused before Kafka is asked."""

from typing import Any

import pytest

from interest_center.client import EventPusher
from interest_center.core.errors import BadRequestError
from interest_center.settings import load_settings

GOOD: dict[str, Any] = {"user_id": "u", "item_id": "i", "event_type": "click"}


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"item_id": ""}, "item_id", "field item_id"),
        ({"user_id": 7}, "user_id", "field user_id"),
        ({"category_id": "c" * 257}, "category_id", "field category_id"),
        ({"event_time_ms": 1_700_000_000}, "event_time_ms", "milliseconds since 1970"),
        ({"page": -1}, "page", "field page"),
        ({"price": float("nan")}, "price", "field price"),
        ({"category": "c"}, "category", "no field category, it has event_id, user_id"),
        ({"item_id": "\udcff"}, "event", "not text"),
    ],
)
def test_a_bad_event_names_its_field(changed: dict[str, Any], field: str, said: str) -> None:
    # Nobody listens there: what is refused must not ask.
    pusher = EventPusher(load_settings(kafka_bootstrap_servers="127.0.0.1:1"))
    for push in (lambda event: pusher.push(**event), lambda event: pusher.push_many([event])):
        with pytest.raises(BadRequestError, match=said) as refused:
            push(GOOD | changed)
        assert refused.value.field == field
    pusher.close()


def test_a_missing_field_is_named() -> None:
    pusher = EventPusher(load_settings(kafka_bootstrap_servers="127.0.0.1:1"))
    with pytest.raises(BadRequestError, match="field item_id is missing") as refused:
        pusher.push(user_id="u", event_type="click")  # type: ignore[call-arg]
    assert refused.value.field == "item_id"


@pytest.mark.parametrize("user_id", ["", "u" * 257, "\udcff"])
def test_an_erasure_of_nobody_is_refused(user_id: str) -> None:
    pusher = EventPusher(load_settings(kafka_bootstrap_servers="127.0.0.1:1"))
    with pytest.raises(BadRequestError, match="user_id") as refused:
        pusher.erase(user_id)
    assert refused.value.field == "user_id"
