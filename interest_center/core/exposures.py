"""What a ranking showed, as the exposures topic holds it: the contract of who writes and who reads.

The key of a record is the user id, its value a JSON ``Exposure``. Where they are the same, its
fields have the names of the sample table of ``uic train``.
"""

from typing import Annotated

import msgspec

from interest_center.core.events import Page, TimeMs

Offset = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class ExposedItem(msgspec.Struct, frozen=True):
    """An item that was returned; the category is the request's."""

    item_id: str
    category_id: str | None
    probability: float


class Exposure(msgspec.Struct, frozen=True):
    """What was returned to whom, the best first.

    Attributes:
        user_id: As sent, like page and trigger.
        time_ms: Time that was ranked for.
        page: None without.
        trigger_item_id: None without.
        trigger_category_id: None without.
        items: In their order.
        model: Fingerprint of the bundle that scored.
        as_of: Event time of the last event that the scores have seen, None without.
        watermark: Next offset of the user's partition when the state was read, None without.
        history: Where the behaviors came from.
        degraded: What was missing, None for nothing.
    """

    user_id: str
    time_ms: TimeMs
    page: Page | None
    trigger_item_id: str | None
    trigger_category_id: str | None
    items: list[ExposedItem]
    model: str
    as_of: int | None
    watermark: Offset | None
    history: str
    degraded: str | None
