"""Passing a query on to the worker that owns the user, at most once."""

from dataclasses import dataclass

import aiohttp
from yarl import URL

from interest_center import metrics
from interest_center.core.errors import NotReadyError
from interest_center.core.messages import FORWARDED_HEADER

FORWARD_TIMEOUT_SECONDS = 2.0
MAX_CONNECTIONS = 100


@dataclass(frozen=True)
class Query:
    """A request as it is passed on.

    Attributes:
        method: HTTP method.
        path: Path and query string, encoded.
        body: Body, empty for GET.
        content_type: Of the body.
    """

    method: str
    path: str
    body: bytes = b""
    content_type: str = "application/json"


@dataclass(frozen=True)
class Reply:
    """What the owner said."""

    status: int
    body: bytes
    content_type: str
    retry_after: str | None


class Forwarder:
    """Keeps connections to the other workers."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, owner_url: str, query: Query) -> Reply:
        """Ask the owner.

        Raises:
            NotReadyError: The owner does not answer in time.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
                timeout=aiohttp.ClientTimeout(total=FORWARD_TIMEOUT_SECONDS),
            )
        headers = {FORWARDED_HEADER: "1"}
        if query.body:
            headers["content-type"] = query.content_type
        try:
            async with self._session.request(
                query.method,
                URL(owner_url + query.path, encoded=True),
                data=query.body or None,
                headers=headers,
            ) as response:
                reply = Reply(
                    response.status,
                    await response.read(),
                    response.headers.get("content-type", "application/json"),
                    response.headers.get("retry-after"),
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            metrics.FORWARDS.labels("failed").inc()
            raise NotReadyError(f"the owner at {owner_url} does not answer") from error
        metrics.FORWARDS.labels("ok").inc()
        return reply

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
