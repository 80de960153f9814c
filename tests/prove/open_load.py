"""Open-loop load: requests at a fixed rate, whatever becomes of the earlier ones.

The time of an answer counts from the moment at which its request was to be sent, so a server that
stalls is charged for everybody who would have come meanwhile ("coordinated omission").
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np

#: An answer that takes longer is none.
PATIENCE_SECONDS = 10.0
#: So that two hundred connections are there before the first second is over.
CONNECTIONS = 64
#: A connection that nobody used for so long may be closed by the server (after 5 s, by uvicorn).
KEPT_SECONDS = 3.0
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_DEGRADED = re.compile(rb'"degraded":"(\w+)"')
NO_ANSWER = 0


@dataclass
class Loaded:
    """What came back.

    Attributes:
        rate: Requests a second.
        at: When each request was to be sent, seconds since the first.
        seconds: From then to the end of its answer.
        statuses: Of the answers; ``NO_ANSWER`` for a connection that broke or took too long.
        reasons: Why an answer was degraded, empty where it was not.
    """

    rate: float
    at: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def quantile_ms(self, q: float) -> float:
        """Return a quantile of the times, of all requests."""
        return 1e3 * float(np.quantile(self.seconds, q))

    @property
    def counts(self) -> Counter[int]:
        """How many answers of each status."""
        return Counter(self.statuses)

    @property
    def degraded(self) -> Counter[str]:
        """How many answers were degraded, by reason."""
        return Counter(reason for reason in self.reasons if reason)

    def told(self) -> str:
        """Return the times and what was not a whole answer, in words."""
        p50, p99, p999 = (self.quantile_ms(q) for q in (0.5, 0.99, 0.999))
        counts, degraded = self.counts, sum(self.degraded.values())
        return (
            f"{p50:.1f} / {p99:.1f} / {p999:.1f} ms; {counts[200]:,} answers, "
            f"shed {counts[429]:,}, degraded {degraded:,}, none {counts[NO_ANSWER]:,}"
        )


def load_openly(
    url: str, bodies: Sequence[bytes], rate: float, look: Callable[[bytes], None] | None = None
) -> Loaded:
    """Send requests at a fixed rate, and wait for all answers.

    Args:
        url: Of a ranking worker.
        bodies: JSON of the requests, in turn.
        rate: Requests a second.
        look: Sees the body of each answer with status 200.
    """
    return asyncio.run(_load(url, bodies, rate, look))


class _Pool:
    """Connections, each for one request at a time; as many as are needed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._idle: list[_Connection] = []

    async def open(self, n: int) -> None:
        for _ in range(n):
            self._idle.append(await self._opened())

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Return status and body."""
        connection = self._kept() or await self._opened()
        reader, writer = connection.reader, connection.writer
        try:
            head = (
                f"POST /v1/rank HTTP/1.1\r\nHost: {self._host}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answered = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(answered)
            content = await reader.readexactly(int(length.group(1)) if length else 0)
        except BaseException:
            writer.close()
            raise
        connection.used_at = time.perf_counter()
        self._idle.append(connection)
        return int(answered[9:12]), content

    def _kept(self) -> "_Connection | None":
        """Return the connection that was used last, None when all were idle for long."""
        while self._idle:
            connection = self._idle.pop()
            if time.perf_counter() - connection.used_at < KEPT_SECONDS:
                return connection
            connection.writer.close()
        return None

    async def _opened(self) -> "_Connection":
        return _Connection(*await asyncio.open_connection(self._host, self._port))

    async def close(self) -> None:
        for connection in self._idle:
            connection.writer.close()


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used_at: float = field(default_factory=time.perf_counter)


async def _load(
    url: str, bodies: Sequence[bytes], rate: float, look: Callable[[bytes], None] | None
) -> Loaded:
    pool, loaded = _Pool(url), Loaded(rate)
    await pool.open(CONNECTIONS)
    begun = time.perf_counter()

    async def one(due: float, body: bytes) -> None:
        status, reason = NO_ANSWER, ""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                status, content = await pool.post(body)
        except (OSError, EOFError, TimeoutError):
            content = b""
        loaded.seconds.append(time.perf_counter() - begun - due)
        if status == 200:
            found = _DEGRADED.search(content)
            reason = found.group(1).decode() if found else ""
            if look is not None:
                look(content)
        loaded.at.append(due)
        loaded.statuses.append(status)
        loaded.reasons.append(reason)

    async with asyncio.TaskGroup() as group:
        for number, body in enumerate(bodies):
            due = number / rate
            wait = due - (time.perf_counter() - begun)
            if wait > 0:
                await asyncio.sleep(wait)
            group.create_task(one(due, body))
    await pool.close()
    return loaded
