"""Reads states from the workers that own them, within a deadline."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import aiohttp
import msgspec
import structlog

from interest_center import metrics
from interest_center.core.errors import InterestCenterError
from interest_center.core.messages import (
    MSGPACK_MEDIA_TYPE,
    StatesAnswer,
    StatesRequest,
    UserState,
)
from ranking.history import STATE_TIMEOUT, STATE_UNAVAILABLE
from ranking.owners import NO_ANSWER, Owners

log = structlog.get_logger(__name__)

PATH = "/v1/states:multiGet"
# Below the five seconds after which uvicorn closes an idle connection.
KEEP_ALIVE_SECONDS = 4.0

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(StatesAnswer)


class StateMissingError(InterestCenterError):
    """The state of a user could not be read.

    Args:
        message: What went wrong.
        reason: How the answer says so: ``state_timeout`` or ``state_unavailable``.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class _RefusedError(InterestCenterError):
    """The worker answers, but not with a state."""


class Patience:
    """How long an answer may take before it is asked for once more: what 95 % of them take.

    So one read in twenty is asked for twice, whatever the workers' speed ("The Tail at Scale",
    Dean and Barroso 2013, "hedged requests"). The quantile follows the answers by steps of a few
    percent, up after a late one and down after one in time, so that both balance at the quantile.

    Args:
        deadline_seconds: Of a read; after half of it, it is always asked for again.
    """

    QUANTILE = 0.95
    STEP = 0.05
    LEAST_SECONDS = 0.001

    def __init__(self, deadline_seconds: float) -> None:
        self._most = deadline_seconds / 2
        self.seconds = self._most

    def note(self, late: bool) -> None:
        """Learn from an answer."""
        step = self.QUANTILE if late else self.QUANTILE - 1
        moved = self.seconds * math.exp(self.STEP * step)
        self.seconds = min(max(moved, self.LEAST_SECONDS), self._most)


@dataclass(frozen=True)
class _Question:
    """Whose state is wanted, and what of it."""

    user_id: str
    categories: Sequence[int]
    trace: Mapping[str, str]


class StateClient:
    """Reads one user's records from the owner, over connections that stay open.

    An answer that is late is asked for once more, over another connection, and the first one
    counts: a lost packet or a stalled connection costs less than the deadline.

    Use as an asynchronous context manager, inside the event loop that it serves.

    Args:
        worker_urls: Any interest workers.
        deadline_seconds: Longest wait for a state.
        memory: Whether to ask for the long-term memory.
    """

    def __init__(
        self, worker_urls: Sequence[str], deadline_seconds: float, memory: bool = True
    ) -> None:
        self._worker_urls = worker_urls
        self._deadline_seconds = deadline_seconds
        self._memory = memory
        self._patience = Patience(deadline_seconds)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            headers={"content-type": MSGPACK_MEDIA_TYPE},
        )
        self.owners = Owners(self._session, self._worker_urls)
        self._upkeep = asyncio.create_task(self.owners.keep_fresh(), name="keep-owners-fresh")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._upkeep.cancel()
        await asyncio.gather(self._upkeep, return_exceptions=True)
        await self.owners.close()
        await self._session.close()

    @property
    def has_owners(self) -> bool:
        """Whether a worker has ever said who owns what."""
        return self.owners.map is not None

    async def read(
        self,
        user_id: str,
        categories: Sequence[int] = (),
        trace: Mapping[str, str] | None = None,
    ) -> UserState:
        """Return the state of a user; of an unknown one it is empty.

        Args:
            user_id: As in the events.
            categories: Ids of the categories whose sub-sequences are wanted.
            trace: Headers that tell what the read is a part of, passed on to the worker.

        Raises:
            StateMissingError: There is no answer within the deadline, or nobody can give one.
        """
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await self._read(_Question(user_id, categories, trace or {}))
        except TimeoutError as error:
            # A worker that is late may be one that is gone; the next requests should know.
            self.owners.refresh_soon()
            raise StateMissingError("no state within the deadline", STATE_TIMEOUT) from error

    async def _read(self, question: _Question) -> UserState:
        url = self.owners.owner_of(question.user_id)
        if url is not None:
            try:
                return await self._ask(url, question)
            except _RefusedError:
                moved_from = url
            except NO_ANSWER:
                # Perhaps a kept connection that the worker has closed: the same one may be right.
                moved_from = None
        else:
            moved_from = None
        await self.owners.refresh()
        url = self.owners.owner_of(question.user_id)
        if url is None or url == moved_from:
            raise StateMissingError("the owner cannot answer", STATE_UNAVAILABLE)
        try:
            return await self._ask(url, question)
        except (_RefusedError, *NO_ANSWER) as error:
            raise StateMissingError(f"{url} does not answer: {error}", STATE_UNAVAILABLE) from error

    async def _ask(self, url: str, question: _Question) -> UserState:
        """Return the answer, asking once more when it is late."""
        asked = [asyncio.create_task(self._ask_once(url, question))]
        try:
            done, _ = await asyncio.wait(asked, timeout=self._patience.seconds)
            self._patience.note(late=not done)
            if done:
                return asked[0].result()
            asked.append(asyncio.create_task(self._ask_once(url, question)))
            done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            if waiting and all(one.exception() for one in done):
                done, _ = await asyncio.wait(waiting)
            first = done.pop()
            which = "first" if first is asked[0] else "second"
            metrics.RANK_HEDGED_READS.labels(which).inc()
            return first.result()
        finally:
            for one in asked:
                one.cancel()
                one.add_done_callback(_forget)

    async def _ask_once(self, url: str, question: _Question) -> UserState:
        asked = StatesRequest([question.user_id], list(question.categories), self._memory)
        body, trace = _ENCODER.encode(asked), question.trace
        async with self._session.post(url + PATH, data=body, headers=trace) as response:
            content = await response.read()
            if response.status != 200:
                raise _RefusedError(f"{url} answered {response.status}")
        states = _DECODER.decode(content).states
        if len(states) != 1 or states[0].user_id != question.user_id:
            raise _RefusedError(f"{url} answered for another user")
        return states[0]


def _forget(task: "asyncio.Task[UserState]") -> None:
    """Look at the error of a question that does not count, so that it is not reported."""
    if not task.cancelled():
        task.exception()
