"""The HTTP of the ranking worker: routes, refusals as JSON, and the OpenAPI page."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    Operation,
    Reference,
    RequestBody,
    Schema,
)

from interest_center import metrics
from interest_center.api.refusals import EXCEPTION_HANDLERS, ErrorAnswer, Health
from interest_center.core.errors import BadRequestError, NotReadyError
from ranking.messages import MAX_BODY_BYTES, RankAnswer, RankRequest
from ranking.rankings import Rankings

AnyRequest = Request[Any, Any, Any]

BODY_SECONDS = 10.0
JSON_MEDIA_TYPE = "application/json"
_REFERENCES = "#/components/schemas/{name}"

DESCRIPTION = """
Orders candidate items for a user by the interest state that the user's events have just made.

Every answer says how fresh it is (`as_of`, `age_ms`, `watermark`) and whether a part of the state
was missing (`degraded`). A ranking is refused when the request is wrong, and, with 503 and
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
class RankOperation(Operation):
    """Describes the body of a ranking request: the handler reads it itself, so strict as it is."""

    request_body: RequestBody | Reference | None = field(
        default_factory=lambda: RequestBody(
            {
                JSON_MEDIA_TYPE: OpenAPIMediaType(
                    schema=Reference(_REFERENCES.format(name=RankRequest.__name__)),
                    examples=dict(EXAMPLES),
                )
            },
            description="What to order and for whom.",
            required=True,
        )
    )

    def __post_init__(self) -> None:
        # Litestar passes the None that it has derived from the handler.
        if self.request_body is None:
            self.request_body = type(self)().request_body


def refusal_spec(description: str) -> ResponseSpec:
    """Describe a refusal."""
    return ResponseSpec(ErrorAnswer, generate_examples=False, description=description)


@post(
    "/v1/rank",
    status_code=200,
    operation_class=RankOperation,
    responses={
        200: ResponseSpec(RankAnswer, generate_examples=False, description="The order."),
        400: refusal_spec("A wrong field, named by its path."),
        408: refusal_spec("The body did not arrive in time."),
        413: refusal_spec("The body is too large."),
        415: refusal_spec("The body is not JSON."),
        503: refusal_spec("Too many rankings are waiting; Retry-After says when to ask again."),
    },
)
async def rank(request: AnyRequest) -> Response[bytes]:
    """Order candidates for a user.

    By click probability, or by probability x bid when every candidate has a bid; equal scores in
    the order of their item ids.
    """
    rankings: Rankings = request.app.state.rankings
    try:
        body = await body_of(request)
    except (BadRequestError, HTTPException):
        metrics.RANK_REQUESTS.labels("bad_request").inc()
        raise
    return Response(await rankings.rank(body), media_type=MediaType.JSON)


async def body_of(request: AnyRequest) -> bytes:
    """Receive the body of a request.

    Raises:
        BadRequestError: It says that it is not JSON, or it comes too slowly.
    """
    media_type = request.headers.get("content-type", JSON_MEDIA_TYPE)
    if media_type.partition(";")[0].strip().lower() != JSON_MEDIA_TYPE:
        raise HTTPException(
            status_code=415, detail=f"expected content-type {JSON_MEDIA_TYPE}, got {media_type}"
        )
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.body()
    except TimeoutError as error:
        raise HTTPException(
            status_code=408, detail=f"the body took longer than {BODY_SECONDS:.0f} s"
        ) from error


@get("/health/live")
async def live() -> Health:
    """Answer as long as the process can."""
    return Health("live")


@get(
    "/health/ready",
    responses={
        200: ResponseSpec(Health, generate_examples=False),
        503: refusal_spec("No interest worker has said yet who owns which user."),
    },
)
async def ready(request: AnyRequest) -> Health:
    """Tell whether rankings are made from states.

    The model is loaded and warm before this port answers. Once ready, a ranker stays ready: when
    the interest workers go away it answers `degraded`, which is better than nothing.
    """
    rankings: Rankings = request.app.state.rankings
    if not rankings.has_owners:
        raise NotReadyError("no interest worker has answered yet")
    bundle = rankings.bundle
    return Health("ready", {"model": bundle.name, "fingerprint": bundle.fingerprint})


@get("/metrics", include_in_schema=False)
async def get_metrics() -> Response[bytes]:
    """Metrics of this ranking worker, for Prometheus."""
    return Response(
        metrics.render(metrics.RANKER),
        media_type="text/plain",
        headers={"content-type": metrics.METRICS_CONTENT_TYPE},
    )


def create_app(rankings: Rankings) -> Litestar:
    """Build the application of one ranking worker.

    Args:
        rankings: Answers the requests.
    """
    app = Litestar(
        route_handlers=[rank, live, ready, get_metrics],
        openapi_config=OpenAPIConfig(
            title="User Interest Center: ranking worker",
            version="1",
            description=DESCRIPTION,
            use_handler_docstrings=True,
        ),
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )
    app.state.rankings = rankings
    _, schemas = msgspec.json.schema_components([RankRequest], ref_template=_REFERENCES)
    # Litestar knows only the schemas of its own making; the document is made once and kept.
    known = app.openapi_schema.components.schemas
    assert known is not None
    known.update({name: GivenSchema(schema) for name, schema in schemas.items()})
    return app
