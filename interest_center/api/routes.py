"""The routes of a worker, with what the OpenAPI page says about them."""

from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from litestar import MediaType, Request, Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import JSONBody, PathParameter, QueryParameter

from interest_center import metrics
from interest_center.api.directory import PartitionDirectory
from interest_center.api.forwarding import Query, Reply
from interest_center.api.queries import StateQueries
from interest_center.api.refusals import ErrorAnswer, Health
from interest_center.api.schema import (
    BatchGetRequest,
    CategoryBehaviors,
    Interest,
    Interests,
    Partitions,
    SavedSnapshots,
)
from interest_center.api.views import InterestQueries
from interest_center.core.errors import BadRequestError, NotReadyError
from interest_center.core.messages import FORWARDED_HEADER, MSGPACK_MEDIA_TYPE, StatesRequest

AnyRequest = Request[Any, Any, Any]

UserId = Annotated[
    str,
    PathParameter(description="User id as sent in the events.", examples=[Example(value="u42")]),
]
CategoryId = Annotated[str, PathParameter(description="Category id as sent in the events.")]
RawMemory = Annotated[bool, QueryParameter(description="Add all values of the long-term memory.")]

ERRORS = {
    400: ResponseSpec(ErrorAnswer, generate_examples=False, description="A wrong field."),
    503: ResponseSpec(
        ErrorAnswer, generate_examples=False, description="The partition recovers or moves."
    ),
}


def ok(container: Any, description: str) -> dict[int, ResponseSpec]:
    """Describe the answers of a route."""
    answer = ResponseSpec(container, generate_examples=False, description=description)
    return {200: answer, **ERRORS}


def json_or_reply(answer: Any | Reply) -> Response[bytes]:
    """Encode an own answer, or pass on what the owner said, byte for byte."""
    if isinstance(answer, Reply):
        headers = {"retry-after": answer.retry_after} if answer.retry_after else {}
        return Response(
            answer.body, status_code=answer.status, media_type=answer.content_type, headers=headers
        )
    return Response(msgspec.json.encode(answer), status_code=200, media_type=MediaType.JSON)


def is_forwarded(request: AnyRequest) -> bool:
    """Tell whether another worker passed this request on."""
    return FORWARDED_HEADER in request.headers


def as_query(request: AnyRequest) -> Query:
    """Return a GET request as it is passed on, with its path still encoded."""
    path = request.scope.get("raw_path", b"").decode().partition("?")[0] or request.url.path
    query = request.url.query
    return Query("GET", path + (f"?{query}" if query else ""))


def decoded(part: str, field: str) -> str:
    """Return what a part of an encoded path stands for.

    Raises:
        BadRequestError: It is not UTF-8.
    """
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError as error:
        raise BadRequestError("not UTF-8, percent-encoded", field) from error


@get("/v1/users/{user_id:str}/interest", responses=ok(Interest, "The interest state."))
async def get_interest(
    request: AnyRequest, user_id: UserId, raw_memory: RawMemory = False
) -> Response[bytes]:
    """Interest of a user.

    Recent behaviors newest first, categories, memory summary, counts, and how fresh it all is.
    A user without events has an empty state; that is not an error.
    """
    views: InterestQueries = request.app.state.views
    queries: StateQueries = request.app.state.queries
    user_id = decoded(user_id, "user_id")
    answer = views.interest(user_id, raw_memory, as_query(request), is_forwarded(request))
    return json_or_reply(await queries.counted("interest", answer))


@get(
    "/v1/users/{user_id:str}/categories/{category_id:str}",
    responses=ok(CategoryBehaviors, "The sub-sequence."),
)
async def get_category(
    request: AnyRequest, user_id: UserId, category_id: CategoryId
) -> Response[bytes]:
    """Behaviors of a user in one category.

    Newest first; they reach further back than the recent behaviors of the interest.
    """
    views: InterestQueries = request.app.state.views
    queries: StateQueries = request.app.state.queries
    user_id, category_id = decoded(user_id, "user_id"), decoded(category_id, "category_id")
    answer = views.category(user_id, category_id, as_query(request), is_forwarded(request))
    return json_or_reply(await queries.counted("category", answer))


@post(
    "/v1/interest:batchGet",
    status_code=200,
    responses=ok(Interests, "In the order of the request."),
)
async def batch_get(
    request: AnyRequest, data: JSONBody[BatchGetRequest], raw_memory: RawMemory = False
) -> Response[bytes]:
    """Interests of up to 1,000 users, wherever they live."""
    views: InterestQueries = request.app.state.views
    queries: StateQueries = request.app.state.queries
    answer = views.interests(data.user_ids, raw_memory, is_forwarded(request))
    return json_or_reply({"users": await queries.counted("batch_get", answer)})


@post("/v1/states:multiGet", status_code=200, include_in_schema=False)
async def multi_get(request: AnyRequest) -> Response[bytes]:
    """Answer the ranker: stored records of many users as MessagePack (core/messages.py)."""
    queries: StateQueries = request.app.state.queries
    try:
        wanted = msgspec.msgpack.decode(await request.body(), type=StatesRequest)
    except msgspec.MsgspecError as error:
        raise BadRequestError(str(error).lower(), "body") from error
    answer = await queries.counted("multi_get", queries.states(wanted, is_forwarded(request)))
    return Response(msgspec.msgpack.encode(answer), media_type=MSGPACK_MEDIA_TYPE)


@get("/v1/partitions", responses={200: ResponseSpec(Partitions, generate_examples=False)})
async def get_partitions(request: AnyRequest) -> Response[bytes]:
    """Owners of the partitions, and the counters and positions of those of this worker."""
    directory: PartitionDirectory = request.app.state.directory
    return json_or_reply(Partitions(directory.n_partitions, directory.statuses()))


@post(
    "/v1/snapshots",
    status_code=200,
    responses={200: ResponseSpec(SavedSnapshots, generate_examples=False), 400: ERRORS[400]},
)
async def save_snapshots(request: AnyRequest) -> Response[bytes]:
    """Save a snapshot of each partition of this worker now, beside those that it makes by itself.

    The answer comes when all are saved.
    """
    directory: PartitionDirectory = request.app.state.directory
    return json_or_reply(SavedSnapshots(await directory.save_snapshots()))


@get("/health/live")
async def live() -> Health:
    """Answer as long as the process can."""
    return Health("live")


@get(
    "/health/ready",
    responses={200: ResponseSpec(Health, generate_examples=False), 503: ERRORS[503]},
)
async def ready(request: AnyRequest) -> Health:
    """Tell whether this worker answers for all partitions it owns."""
    directory: PartitionDirectory = request.app.state.directory
    mine = [status for status in directory.statuses() if status.mine]
    waiting = [status for status in mine if not status.ready]
    if waiting or not directory.has_joined:
        progress = min((status.progress or 0.0 for status in waiting), default=0.0)
        raise NotReadyError(
            f"{len(waiting)} of {len(mine)} partitions are not ready, progress {progress:.0%}"
            if directory.has_joined
            else "this worker has not joined the group yet"
        )
    return Health("ready", {"partitions": [status.partition for status in mine]})


@get("/metrics", include_in_schema=False)
async def get_metrics(request: AnyRequest) -> Response[bytes]:
    """Metrics of this worker, for Prometheus."""
    directory: PartitionDirectory = request.app.state.directory
    directory.refresh_metrics()
    return Response(
        metrics.render(metrics.WORKER),
        media_type="text/plain",
        headers={"content-type": metrics.METRICS_CONTENT_TYPE},
    )


ROUTES = [
    get_interest,
    get_category,
    batch_get,
    multi_get,
    get_partitions,
    save_snapshots,
    live,
    ready,
    get_metrics,
]
