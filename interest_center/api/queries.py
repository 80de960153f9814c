"""The state queries: find the owner of each user, read or forward, say how fresh the answer is."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from interest_center import metrics
from interest_center.answers import PartitionRead
from interest_center.api.directory import PartitionDirectory
from interest_center.api.forwarding import Forwarder, Query, Reply
from interest_center.center import PartitionCenter
from interest_center.core.errors import DAMAGED, BadRequestError, NotReadyError
from interest_center.core.events import MAX_ID_CHARS
from interest_center.core.ids import encode_id, partition_of
from interest_center.core.messages import (
    MSGPACK_MEDIA_TYPE,
    StatesAnswer,
    StatesRequest,
    UserState,
)
from interest_center.query import InterestViews

MAX_USERS = 1000
#: A ranking may have so many candidates, each of a category of its own.
MAX_CATEGORIES = 10_000
READ_THREADS = 2
#: So few are read at once where nothing has to be waited for: a thread would take longer to get
#: its turn.
FEW_USERS = 8
FEW_RECORDS = 200
#: A copy with new memories may take over during a read, once.
READS = 2
#: What the owner's status says of a forwarded query.
RESULTS = {200: "ok", 400: "bad_request", 503: "not_ready"}

T = TypeVar("T")


def checked_id(text: str, field: str) -> str:
    """Return an id of a request.

    Raises:
        BadRequestError: It is empty or too long.
    """
    if not text or len(text) > MAX_ID_CHARS:
        raise BadRequestError(f"an id has 1 to {MAX_ID_CHARS} characters, got {len(text)}", field)
    return text


def checked_ids(texts: Sequence[str], field: str, most: int) -> Sequence[str]:
    """Return the ids of a request.

    Raises:
        BadRequestError: There are too many, or one is empty or too long.
    """
    if len(texts) > most:
        raise BadRequestError(f"at most {most} ids in one request, got {len(texts)}", field)
    for index, text in enumerate(texts):
        checked_id(text, f"{field}[{index}]")
    return texts


def checked_categories(categories: Sequence[int]) -> Sequence[int]:
    """Return the 64-bit category ids of a request.

    Raises:
        BadRequestError: There are too many, or one is no id.
    """
    if len(categories) > MAX_CATEGORIES:
        raise BadRequestError(
            f"at most {MAX_CATEGORIES} ids in one request, got {len(categories)}", "categories"
        )
    for index, category in enumerate(categories):
        if not 0 < category < 1 << 64:
            raise BadRequestError("no 64-bit id", f"categories[{index}]")
    return list(dict.fromkeys(categories))


class StateQueries:
    """Answers queries for any user: from an own partition, else by asking the owner once.

    Args:
        directory: Who owns what.
        forwarder: Connections to the other workers.
    """

    def __init__(self, directory: PartitionDirectory, forwarder: Forwarder) -> None:
        self._directory = directory
        self._forwarder = forwarder
        # A read may wait for the partition's lock, or be long; the event loop must not.
        self._threads = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="read")

    def close(self) -> None:
        """Stop the read threads."""
        self._threads.shutdown(wait=False)

    def partition(self, user_id: str) -> int:
        """Return the partition of a user."""
        return partition_of(user_id.encode(), self._directory.n_partitions)

    async def read(self, partition: int, is_short: bool, look: Callable[[PartitionCenter], T]) -> T:
        """Return what a look at an own partition sees.

        Args:
            partition: Which.
            is_short: Whether it is over in a millisecond; others are left to a thread.
            look: Reads and shows them.

        Raises:
            NotReadyError: The partition cannot answer, or could not at the end of the read.
        """
        loop = asyncio.get_running_loop()
        for _ in range(READS):
            center = self._directory.center(partition)
            with metrics.QUERY_STAGE_SECONDS.labels("read").time(), self._undamaged(center):
                if is_short and not center.is_busy:
                    seen = look(center)
                else:
                    seen = await loop.run_in_executor(self._threads, look, center)
            # The partition may have moved while we read; an answer from before that is none. If it
            # is still ours, another copy has taken the place of the one that was read.
            if self._directory.center(partition) is center:
                return seen
        raise NotReadyError(f"partition {partition} moved during the read")

    @contextmanager
    def _undamaged(self, center: PartitionCenter) -> Iterator[None]:
        """Report damage that a read meets.

        Raises:
            NotReadyError: It met some.
        """
        try:
            yield
        except DAMAGED as error:
            self._directory.damaged(center, error)
            raise NotReadyError("the copy is damaged; another one takes its place") from error

    async def in_time(self, answer: Awaitable[T]) -> T:
        """Refuse an answer that took so long that another worker may have given a newer one.

        Raises:
            NotReadyError: This process was stopped or starved meanwhile.
        """
        started = time.monotonic()
        result = await answer
        if time.monotonic() - started > self._directory.answer_seconds:
            raise NotReadyError("the answer took longer than the session timeout")
        return result

    async def counted(self, operation: str, answer: Awaitable[T]) -> T:
        """Count a query by its result, and keep it to its time."""
        result = "failed"
        try:
            value = await self.in_time(answer)
            result = RESULTS.get(value.status, "failed") if isinstance(value, Reply) else "ok"
            return value
        except BadRequestError:
            result = "bad_request"
            raise
        except NotReadyError:
            result = "not_ready"
            raise
        finally:
            metrics.QUERIES.labels(operation, result).inc()

    async def ask(self, owner_url: str, query: Query) -> Reply:
        """Ask another worker."""
        with metrics.QUERY_STAGE_SECONDS.labels("forward").time():
            return await self._forwarder.send(owner_url, query)

    def owner_to_ask(self, partition: int, forwarded: bool) -> str:
        """Return the other worker that owns a partition.

        Raises:
            NotReadyError: Nobody is known to, or the query was forwarded already.
        """
        if forwarded:
            raise NotReadyError(f"partition {partition} is not (any more) at this worker")
        url = self._directory.owner_url(partition)
        if url is None:
            raise NotReadyError(f"partition {partition} has no owner yet")
        return url

    async def one_user(
        self, user_id: str, query: Query, forwarded: bool, local: Callable[[int], Awaitable[Any]]
    ) -> Any | Reply:
        """Answer a query about one user by ``local(partition)``, or by the owner's reply."""
        partition = self.partition(user_id)
        if self._directory.is_mine(partition):
            return await local(partition)
        return await self.ask(self.owner_to_ask(partition, forwarded), query)

    async def many_users(
        self,
        users: Sequence[str],
        forwarded: bool,
        local: Callable[[int, list[str]], Awaitable[list[T]]],
        remote: Callable[[str, list[str]], Awaitable[list[T]]],
    ) -> list[T]:
        """Answer a query about several users, in their order, asking each owner once."""
        mine: dict[int, list[int]] = {}
        others: dict[str, list[int]] = {}
        for index, user in enumerate(users):
            partition = self.partition(user)
            if self._directory.is_mine(partition):
                mine.setdefault(partition, []).append(index)
            else:
                others.setdefault(self.owner_to_ask(partition, forwarded), []).append(index)
        places = [*mine.values(), *others.values()]
        parts = await asyncio.gather(
            *(local(p, [users[i] for i in indexes]) for p, indexes in mine.items()),
            *(remote(url, [users[i] for i in indexes]) for url, indexes in others.items()),
        )
        answers = {
            index: answer
            for indexes, part in zip(places, parts, strict=True)
            for index, answer in zip(indexes, part, strict=True)
        }
        return [answers[index] for index in range(len(users))]

    async def states(self, request: StatesRequest, forwarded: bool) -> StatesAnswer:
        """Answer the binary multi-get."""
        users = checked_ids(request.users, "users", MAX_USERS)
        categories = checked_categories(request.categories)

        async def local(partition: int, some: list[str]) -> list[UserState]:
            def look(center: PartitionCenter) -> list[UserState]:
                ids = [encode_id(user) for user in some]
                read = center.read(ids, categories, request.memory)
                return user_states(read, partition, some, self._directory.views)

            is_short = len(some) * (2 + len(categories)) <= FEW_RECORDS
            return await self.read(partition, is_short, look)

        async def remote(url: str, some: list[str]) -> list[UserState]:
            body = msgspec.msgpack.encode(StatesRequest(some, request.categories, request.memory))
            query = Query("POST", "/v1/states:multiGet", body, MSGPACK_MEDIA_TYPE)
            reply = accepted(await self.ask(url, query))
            return msgspec.msgpack.decode(reply.body, type=StatesAnswer).states

        with metrics.QUERY_SECONDS.labels("multi_get").time():
            return StatesAnswer(await self.many_users(users, forwarded, local, remote))


def accepted(reply: Reply) -> Reply:
    """Return a reply that has a state.

    Raises:
        NotReadyError: The owner refused.
    """
    if reply.status >= 300:
        raise NotReadyError(f"the owner answered {reply.status}")
    return reply


def user_states(
    read: PartitionRead,
    partition: int,
    users: Sequence[str],
    views: InterestViews,
) -> list[UserState]:
    """Pack what one partition said for the binary multi-get."""
    served = views.updater if read.memory_from is not None else None
    rules = views.config.fingerprint
    return [
        UserState(
            user_id=user,
            partition=partition,
            watermark=read.watermark,
            profile=state.profile,
            memory=state.memory,
            memory_fingerprint=served.fingerprint if served is not None else 0,
            memory_from=read.memory_from,
            subsequences=dict(state.subsequences),
            state_rules=rules,
        )
        for user, state in zip(users, read.states, strict=True)
    ]
