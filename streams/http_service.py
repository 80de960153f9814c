"""The HTTP server of a worker as a service of Faust: uvicorn in the worker's own event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import mode
import uvicorn

from interest_center.core.errors import ConfigurationError

STOP_SECONDS = 5


def bind(host: str, port: int) -> socket.socket:
    """Open the port before anything else is started.

    Raises:
        ConfigurationError: The port is taken, or the host is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it; without it a head and its body may be 40 ms apart.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigurationError(
            f"cannot serve HTTP at {host}:{port}: {error.strerror}",
            hint="choose another port with --port, or 0 for any free one",
        ) from error
    return bound


class QuietServer(uvicorn.Server):
    """A server that leaves the signals to the worker."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class HttpService(mode.Service):
    """Serves an ASGI application until the worker stops.

    Args:
        asgi_app: Returns the application; asked at the start.
        bound: Returns a bound socket; asked at the start.
    """

    def __init__(
        self, asgi_app: Callable[[], Any], bound: Callable[[], socket.socket], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._asgi_app = asgi_app
        self._bound = bound
        self._server: QuietServer | None = None
        self._serving: asyncio.Future[Any] | None = None

    async def on_start(self) -> None:
        """Answer before the group is joined."""
        self._server = QuietServer(
            uvicorn.Config(
                self._asgi_app(),
                loop="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        self._serving = asyncio.ensure_future(self._server.serve(sockets=[self._bound()]))
        while not self._server.started and not self._serving.done():
            await asyncio.sleep(0.01)
        if self._serving.done():
            self._serving.result()

    async def on_stop(self) -> None:
        """Let running answers end."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        await asyncio.wait({self._serving}, timeout=2 * STOP_SECONDS)
