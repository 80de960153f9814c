"""The real logs as event dicts, sorted by time; read here and not by the product's adapters."""

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prove.rows import Bench

Event = dict[str, Any]

TAOBAO = ("taobao-userbehavior-prefix", "raw", "UserBehavior.csv")
AMAZON = ("amazon-electronics-2023", "stream.csv.gz")
TAOBAO_EVENTS, TAOBAO_USERS = 84_475, 815
AMAZON_EVENTS, AMAZON_USERS = 131_154, 15_266

_TAOBAO_TYPES = {"pv": "click", "cart": "cart", "fav": "favorite", "buy": "purchase"}


def read_taobao(bench: Bench) -> list[Event]:
    """Return the Taobao prefix; its last line is cut short and dropped."""
    events = []
    with bench.log_file(*TAOBAO).open(newline="") as file:
        for number, row in enumerate(csv.reader(file)):
            if len(row) != 5 or not row[4]:
                continue
            user, item, category, behaviour, seconds = row
            events.append(
                {
                    "event_id": f"tb-{number}",
                    "user_id": user,
                    "item_id": item,
                    "category_id": category,
                    "event_type": _TAOBAO_TYPES[behaviour],
                    "event_time_ms": int(seconds) * 1000,
                }
            )
    return sorted(events, key=lambda event: event["event_time_ms"])


def read_amazon(bench: Bench) -> list[Event]:
    """Return the Amazon electronics reviews: string ids, categories with spaces and signs.

    A rating of 4 or 5 is a purchase, 3 a view and less a dislike, which feeds nothing.
    """
    return list(_amazon_rows(bench.log_file(*AMAZON)))


def _amazon_rows(path: Path) -> Iterator[Event]:
    with gzip.open(path, "rt", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            rating = float(row["rating"])
            yield {
                "event_id": f"az-{number}",
                "user_id": row["user_id"],
                "item_id": row["item_id"],
                "category_id": row["category"],
                "event_type": "purchase" if rating >= 4 else "view" if rating >= 3 else "dislike",
                "event_time_ms": int(row["timestamp"]),
                "price": float(row["price"]) if row["price"] else None,
            }


def users_of(events: list[Event]) -> list[str]:
    """Return the distinct users of some events, sorted."""
    return sorted({event["user_id"] for event in events})
