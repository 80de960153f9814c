"""The port of a ranking worker: taken at once, opened when somebody is warm."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from interest_center.core.errors import ConfigurationError

BACKLOG = 1024


@contextmanager
def opening(host: str, port: int) -> Iterator[None]:
    """Turn what the operating system says while a port is opened into what to do about it.

    Raises:
        ConfigurationError: It cannot be opened.
    """
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hint="choose another with --port, 0 for any free one",
        ) from error


def bind(host: str, port: int) -> socket.socket:
    """Take the port, and refuse connections until ``listen``.

    Raises:
        ConfigurationError: It is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        with opening(host, port):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((host, port))
    except ConfigurationError:
        listener.close()
        raise
    # Accepted connections inherit it; without it a head and its body may be 40 ms apart.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def listen(listener: socket.socket) -> None:
    """Open the port that was taken.

    Raises:
        ConfigurationError: Another process has opened it meanwhile.
    """
    host, port = listener.getsockname()[:2]
    with opening(host, port):
        listener.listen(BACKLOG)
