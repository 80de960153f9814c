"""TCP ports of this machine for services that are to be found again at the same address."""

import secrets
import socket
from contextlib import ExitStack

HOST = "127.0.0.1"

#: Below the range from which systems take the ports of outgoing connections (Linux from 32768).
#: A client that keeps dialling a port of that range while its server is away may get the very
#: same port for its own end, and is then connected to itself.
FIRST_PORT, LAST_PORT = 10_240, 32_767
ATTEMPTS = 1_000


def choose_ports(*wanted: int) -> tuple[int, ...]:
    """Return the wanted ports, and a free one for each that is 0 or taken; all differ."""
    with ExitStack() as held:
        return tuple(_held_port(held, port) for port in wanted)


def _held_port(held: ExitStack, wanted: int) -> int:
    """Bind a port until the stack is left, so that it is not chosen twice."""
    span = LAST_PORT - FIRST_PORT + 1
    tries = (FIRST_PORT + secrets.randbelow(span) for _ in range(ATTEMPTS))
    for port in (*([wanted] if wanted else []), *tries):
        bound = held.enter_context(socket.socket())
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, port))
        except OSError:
            continue
        return port
    raise OSError(f"no free port between {FIRST_PORT} and {LAST_PORT}")
