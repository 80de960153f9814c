"""The HTTP of the ranking worker: its routes."""

import msgspec
from litestar import Litestar, Response, get, post
from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec

from interest_center import metrics
from interest_center.api.refusals import EXCEPTION_HANDLERS, Health
from interest_center.core.errors import BadRequestError
from ranking.http_bodies import AnyRequest, body_of, encoded, trace_of
from ranking.inference_protocol import INFERENCE_PROTOCOL, InferRequest
from ranking.messages import BatchAnswer, BatchRequest, RankAnswer, RankRequest
from ranking.openapi import (
    DESCRIPTION,
    NOT_READY,
    REFERENCES,
    REFUSALS,
    BatchOperation,
    GivenSchema,
    RankOperation,
)
from ranking.rankings import Rankings
from ranking.request_reading import MAX_BODY_BYTES, decode_batch, decode_request


@post(
    "/v1/rank",
    status_code=200,
    operation_class=RankOperation,
    responses={
        200: ResponseSpec(RankAnswer, generate_examples=False, description="The order."),
        **REFUSALS,
    },
)
async def rank(request: AnyRequest) -> Response[bytes]:
    """Order candidates for a user.

    By click probability, or by probability x bid when every candidate has a bid; equal scores in
    the order of their item ids. JSON, or MessagePack of the same fields.
    """
    rankings: Rankings = request.app.state.rankings
    media_type, body = await body_of(request)
    answer = await rankings.rank(lambda: decode_request(body, media_type), trace_of(request))
    return encoded(request, answer)


@post(
    "/v1/rank:batch",
    status_code=200,
    operation_class=BatchOperation,
    responses={
        200: ResponseSpec(BatchAnswer, generate_examples=False, description="The orders."),
        **REFUSALS,
    },
)
async def rank_batch(request: AnyRequest) -> Response[bytes]:
    """Answer several rankings in one call, each as if it had come alone.

    One wrong request refuses the whole call; the field names it.
    """
    rankings: Rankings = request.app.state.rankings
    media_type, body = await body_of(request)
    try:
        requests = decode_batch(body, media_type)
    except BadRequestError:
        metrics.RANK_REQUESTS.labels("bad_request").inc()
        raise
    answers = await rankings.rank_all(requests, trace_of(request))
    return encoded(request, BatchAnswer(answers))


@get("/health/live")
async def live() -> Health:
    """Answer as long as the process can."""
    return Health("live")


@get(
    "/health/ready",
    responses={
        200: ResponseSpec(Health, generate_examples=False),
        503: NOT_READY,
    },
)
async def ready(request: AnyRequest) -> Health:
    """Tell whether rankings are made from states.

    The model is loaded and warm before this port answers. Once ready, a ranker stays ready: when
    the interest workers go away it answers `degraded`, which is better than nothing.
    """
    rankings: Rankings = request.app.state.rankings
    rankings.check_ready()
    models = {
        name: {"model": bundle.name, "fingerprint": bundle.fingerprint}
        for name, bundle in rankings.bundles.items()
    }
    return Health("ready", {**models[rankings.default], "models": models})


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
        route_handlers=[rank, rank_batch, live, ready, get_metrics, *INFERENCE_PROTOCOL],
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
    bodies = [RankRequest, BatchRequest, InferRequest]
    _, schemas = msgspec.json.schema_components(bodies, ref_template=REFERENCES)
    # Litestar knows only the schemas of its own making; the document is made once and kept.
    known = app.openapi_schema.components.schemas
    assert known is not None
    known.update({name: GivenSchema(schema) for name, schema in schemas.items()})
    return app
