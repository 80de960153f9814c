"""The Litestar application of a worker: routes, errors as JSON, and the OpenAPI page."""

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.openapi import OpenAPIConfig
from litestar.types import ASGIApp, Receive, Scope, Send

from interest_center.api.directory import PartitionDirectory
from interest_center.api.forwarding import Forwarder
from interest_center.api.queries import StateQueries
from interest_center.api.refusals import EXCEPTION_HANDLERS
from interest_center.api.routes import ROUTES
from interest_center.api.views import InterestQueries

MAX_BODY_BYTES = 1 << 20
USER_PATHS = b"/v1/users/"

DESCRIPTION = """
Interest states of users, computed from the behavior events in Kafka as they arrive.

Any worker answers for any user. `watermark` and `as_of_ms` in every answer say up to which offset
and event time it holds. While a partition is recovering or moving, its users are answered with
`503` and `Retry-After`, never with a state that may be wrong.
"""


def create_api(directory: PartitionDirectory) -> ASGIApp:
    """Build the application of one worker.

    Args:
        directory: Who owns which partition, and the centers of the own ones.
    """
    forwarder = Forwarder()
    queries = StateQueries(directory, forwarder)

    async def close() -> None:
        await forwarder.close()
        queries.close()

    app = Litestar(
        route_handlers=ROUTES,
        openapi_config=OpenAPIConfig(
            title="User Interest Center: interest worker",
            version="1",
            description=DESCRIPTION,
            use_handler_docstrings=True,
        ),
        exception_handlers=EXCEPTION_HANDLERS,
        on_shutdown=[close],
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )
    app.state.directory = directory
    app.state.queries = queries
    app.state.views = InterestQueries(queries, directory)
    return routed_by_encoded_path(app)


def routed_by_encoded_path(app: ASGIApp) -> ASGIApp:
    """Route user paths as they were sent: an id may hold any character, also an encoded slash."""

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path", b"").partition(b"?")[0]
        if scope["type"] == ScopeType.HTTP and raw.startswith(USER_PATHS):
            scope["path"] = raw.decode("ascii", "replace")
        await app(scope, receive, send)

    return routed
