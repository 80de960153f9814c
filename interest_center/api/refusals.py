"""What the services say when there is no answer, as JSON, and their health; worker and ranker."""

from typing import Any

import msgspec
import structlog
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.status_codes import (
    HTTP_400_BAD_REQUEST,
    HTTP_429_TOO_MANY_REQUESTS,
    HTTP_503_SERVICE_UNAVAILABLE,
)
from litestar.types import ExceptionHandlersMap

from interest_center.core.errors import BadRequestError, NotReadyError, OverloadedError

log = structlog.get_logger(__name__)


class ErrorAnswer(msgspec.Struct, omit_defaults=True):
    """Why there is no answer.

    Attributes:
        error: A short fact.
        field: Dotted path of the wrong field of the request.
        retry_after_seconds: When to ask again, also in the header ``Retry-After``.
    """

    error: str
    field: str | None = None
    retry_after_seconds: float | None = None


class Health(msgspec.Struct):
    """``live``: the process answers. ``ready``: it answers for all partitions it owns."""

    status: str
    detail: dict[str, Any] = {}


def error_answer(status: int, answer: ErrorAnswer) -> Response[ErrorAnswer]:
    """Return an error as JSON."""
    headers = {}
    if answer.retry_after_seconds is not None:
        headers["retry-after"] = str(max(1, round(answer.retry_after_seconds)))
    return Response(answer, status_code=status, media_type=MediaType.JSON, headers=headers)


def on_bad_request(_: Request[Any, Any, Any], error: BadRequestError) -> Response[ErrorAnswer]:
    """Name the wrong field."""
    return error_answer(HTTP_400_BAD_REQUEST, ErrorAnswer(error.message, field=error.field))


def on_not_ready(_: Request[Any, Any, Any], error: NotReadyError) -> Response[ErrorAnswer]:
    """Say when to ask again."""
    overloaded = isinstance(error, OverloadedError)
    return error_answer(
        HTTP_429_TOO_MANY_REQUESTS if overloaded else HTTP_503_SERVICE_UNAVAILABLE,
        ErrorAnswer(error.message, retry_after_seconds=error.retry_after_seconds),
    )


def on_invalid(_: Request[Any, Any, Any], error: ValidationException) -> Response[ErrorAnswer]:
    """Turn what the framework refused into our shape."""
    first: Any = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    message = str(first.get("message", error.detail))
    return error_answer(
        HTTP_400_BAD_REQUEST, ErrorAnswer(message.lower(), field=first.get("key", "body"))
    )


def on_http_error(_: Request[Any, Any, Any], error: HTTPException) -> Response[ErrorAnswer]:
    """Give the framework's refusals (404, 405 with ``Allow``, 413) our shape."""
    answer = error_answer(error.status_code, ErrorAnswer(str(error.detail).lower()))
    answer.headers.update(error.headers or {})
    return answer


def on_failure(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorAnswer]:
    """Log a bug of ours and say no more than that."""
    log.error("request_failed", path=request.url.path, exc_info=error)
    return error_answer(500, ErrorAnswer("internal error"))


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    BadRequestError: on_bad_request,
    NotReadyError: on_not_ready,
    ValidationException: on_invalid,
    HTTPException: on_http_error,
    Exception: on_failure,
}
