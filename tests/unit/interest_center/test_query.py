"""What people see of a state: texts instead of bits, newest first, and how fresh it is."""

from factories import DecayUpdater, make_batch, make_center, make_event

from interest_center.answers import StoredState
from interest_center.core.ids import encode_id
from interest_center.core.layout import StateConfig
from interest_center.query import Freshness, InterestViews
from interest_center.stores.memory import MemoryStore

FRESH = Freshness(partition=3, watermark=9, now_ms=5000, history_from=1, memory_from=2)


def test_an_unknown_user_is_an_empty_state() -> None:
    view = InterestViews(StateConfig(), None).interest("u", StoredState(), {}, FRESH)
    assert view == {
        "user_id": "u",
        "event_count": 0,
        "counts": {},
        "last_event_time_ms": None,
        "chain_hash": "0" * 16,
        "behaviors": [],
        "categories": [],
        "memory": None,
        "freshness": {
            "as_of_ms": None,
            "age_ms": None,
            "watermark": 9,
            "partition": 3,
            "model": None,
            "history_from": 1,
            "memory_from": 2,
        },
    }


def test_a_state_is_shown_with_the_texts_that_were_sent() -> None:
    updater = DecayUpdater()
    shoe, shoes = encode_id("red shoe"), encode_id("shoes")
    center = make_center(MemoryStore(), updater=updater)
    events = [
        make_event(1, 5, category=7, event_type=2, event_time_ms=100),
        make_event(1, shoe, category=shoes, event_type=1, event_time_ms=200),
        make_event(1, 6, event_type=5, event_time_ms=150),
    ]
    center.apply(make_batch(events, texts={shoe: "red shoe", shoes: "shoes"}))
    stored = center.read([1], [shoes]).states[0]
    views = InterestViews(StateConfig(), updater)
    texts = center.texts_of(views.hashed_ids(stored))
    view = views.interest("1", stored, texts, FRESH, raw_memory=True)
    assert [(b["item_id"], b["category_id"], b["event_type"]) for b in view["behaviors"]] == [
        ("6", None, "purchase"),
        ("red shoe", "shoes", "click"),
        ("5", "7", "view"),
    ]
    assert view["categories"] == [
        {"category_id": "shoes", "size": 1, "last_event_time_ms": 200},
        {"category_id": "7", "size": 1, "last_event_time_ms": 100},
    ]
    assert view["counts"] == {"click": 1, "view": 1, "purchase": 1}
    assert (view["freshness"]["as_of_ms"], view["freshness"]["age_ms"]) == (200, 4800)
    assert view["freshness"]["model"] == "000000000000feed" == view["memory"]["fingerprint"]
    assert len(view["memory"]["values"]) == updater.row_floats
    category = views.category("1", "shoes", stored, texts, FRESH)
    assert category["behaviors"] == [view["behaviors"][1]]
    assert views.category("1", "9", center.read([1], [9]).states[0], {}, FRESH)["behaviors"] == []


def test_a_user_whose_events_feed_no_ring_is_not_unknown() -> None:
    config = StateConfig()
    dislike = 1 + config.event_types.index("dislike")
    center = make_center(MemoryStore())
    center.apply(make_batch([make_event(1, event_type=dislike, event_time_ms=4000)]))
    view = InterestViews(config, None).interest("1", center.read([1]).states[0], {}, FRESH)
    assert (view["event_count"], view["counts"]) == (1, {"dislike": 1})
    assert (view["last_event_time_ms"], view["freshness"]["age_ms"]) == (4000, 1000)
    assert view["chain_hash"] != "0" * 16
    assert (view["behaviors"], view["categories"]) == ([], [])


def test_an_id_without_a_known_text_is_shown_by_its_bits() -> None:
    center = make_center(MemoryStore())
    center.apply(make_batch([make_event(1, (1 << 63) + 255)]))
    view = InterestViews(StateConfig(), None).interest("1", center.read([1]).states[0], {}, FRESH)
    assert view["behaviors"][0]["item_id"] == "#80000000000000ff"
