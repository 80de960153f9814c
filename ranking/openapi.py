"""What the OpenAPI page of the ranking worker says beside what Litestar derives."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Reference,
    RequestBody,
    Schema,
)

from interest_center.api.refusals import ErrorAnswer
from interest_center.core.messages import MSGPACK_MEDIA_TYPE
from ranking.messages import BatchRequest, RankRequest
from ranking.request_reading import JSON_MEDIA_TYPE

REFERENCES = "#/components/schemas/{name}"

DESCRIPTION = """
Orders candidate items for a user by the interest state that the user's events have just made.

Every answer says how fresh it is (`as_of`, `age_ms`, `watermark`) and whether a part of the state
was missing (`degraded`). A ranking is refused when the request is wrong, and, with 429 and
`Retry-After`, when too many others are waiting: their time is in the stage `queue` of the metrics.
"""

EXAMPLES = {
    "a page": Example(
        summary="Order three items",
        value={
            "user_id": "u42",
            "candidates": [
                {"item_id": "1001", "category_id": "7"},
                {"item_id": "1002", "category_id": "9"},
                {"item_id": "1003"},
            ],
            "top_k": 2,
        },
    ),
    "bids": Example(
        summary="Order by expected revenue, after a click on a trigger item",
        value={
            "user_id": "u42",
            "candidates": [{"item_id": "1001", "bid": 0.8}, {"item_id": "1002", "bid": 1.2}],
            "trigger": {"item_id": "1000", "category_id": "7"},
            "page": 1,
        },
    ),
    "an unknown user": Example(
        summary="Bring the history along",
        value={
            "user_id": "new",
            "candidates": [{"item_id": "1001"}, {"item_id": "1002"}],
            "events": [{"item_id": "1000", "event_type": "click", "event_time_ms": 1764000000000}],
        },
    ),
}


class GivenSchema(Schema):
    """A schema that msgspec has written; Litestar is not asked to derive one."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__()
        self.given = given

    def to_schema(self) -> dict[str, Any]:
        """Return it."""
        return self.given


@dataclass
class BodyOperation(Operation):
    """Describes a body that the handler reads itself, so strict as it is."""

    #: What the body is, set by each kind.
    body: ClassVar[type]
    media_types: ClassVar[tuple[str, ...]] = (JSON_MEDIA_TYPE,)
    examples: ClassVar[dict[str, Example]] = {}
    about: ClassVar[str] = ""

    request_body: RequestBody | Reference | None = field(default=None)

    def __post_init__(self) -> None:
        """Replace what Litestar has derived from the handler: no body, answers in JSON only."""
        described = OpenAPIMediaType(
            schema=Reference(REFERENCES.format(name=self.body.__name__)),
            examples=dict(self.examples) or None,
        )
        content = dict.fromkeys(self.media_types, described)
        self.request_body = RequestBody(content, description=self.about, required=True)
        answer = (self.responses or {}).get("200")
        if isinstance(answer, OpenAPIResponse) and answer.content:
            answer.content |= dict.fromkeys(self.media_types, answer.content[JSON_MEDIA_TYPE])


@dataclass
class RankOperation(BodyOperation):
    """One ranking."""

    body = RankRequest
    media_types = (JSON_MEDIA_TYPE, MSGPACK_MEDIA_TYPE)
    examples = EXAMPLES
    about = "What to order and for whom."


@dataclass
class BatchOperation(BodyOperation):
    """Several rankings."""

    body = BatchRequest
    media_types = (JSON_MEDIA_TYPE, MSGPACK_MEDIA_TYPE)
    about = "Rankings, each as for `/v1/rank`."


def refusal_spec(description: str) -> ResponseSpec:
    """Describe a refusal."""
    return ResponseSpec(ErrorAnswer, generate_examples=False, description=description)


NOT_READY = refusal_spec("No interest worker has said yet who owns which user.")

REFUSALS = {
    400: refusal_spec("A wrong field, named by its path."),
    408: refusal_spec("The body did not arrive in time."),
    413: refusal_spec("The body is too large."),
    415: refusal_spec("The body is neither JSON nor MessagePack."),
    429: refusal_spec("Too many rankings are waiting; Retry-After says when to ask again."),
}
