"""The JSON queries: one user's interest, one category of it, and many users at once."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from interest_center import metrics
from interest_center.answers import PartitionRead
from interest_center.api.directory import PartitionDirectory
from interest_center.api.forwarding import Query, Reply
from interest_center.api.queries import (
    FEW_USERS,
    MAX_USERS,
    StateQueries,
    accepted,
    checked_id,
    checked_ids,
)
from interest_center.center import PartitionCenter
from interest_center.core.ids import encode_id
from interest_center.query import Freshness, InterestViews


class InterestQueries:
    """Turns stored records into the JSON of the API.

    Args:
        queries: Finds and reads the records.
        directory: Knows how to show them.
    """

    def __init__(self, queries: StateQueries, directory: PartitionDirectory) -> None:
        self._queries = queries
        self._directory = directory

    @property
    def _views(self) -> InterestViews:
        return self._directory.views

    async def interest(
        self, user_id: str, raw_memory: bool, query: Query, forwarded: bool
    ) -> Any | Reply:
        """Answer ``GET /v1/users/{user_id}/interest``."""
        checked_id(user_id, "user_id")

        async def local(partition: int) -> Any:
            return (await self._interests(partition, [user_id], raw_memory))[0]

        with metrics.QUERY_SECONDS.labels("interest").time():
            return await self._queries.one_user(user_id, query, forwarded, local)

    async def category(
        self, user_id: str, category_id: str, query: Query, forwarded: bool
    ) -> Any | Reply:
        """Answer ``GET /v1/users/{user_id}/categories/{category_id}``."""
        checked_id(user_id, "user_id")
        category = encode_id(checked_id(category_id, "category_id"))

        async def local(partition: int) -> Any:
            def look(center: PartitionCenter) -> Any:
                read = center.read([encode_id(user_id)], [category], memory=False)
                stored = read.states[0]
                texts = center.texts_of(self._views.hashed_ids(stored))
                freshness = freshness_of(partition, read)
                return self._views.category(user_id, category_id, stored, texts, freshness)

            return await self._queries.read(partition, True, look)

        with metrics.QUERY_SECONDS.labels("category").time():
            return await self._queries.one_user(user_id, query, forwarded, local)

    async def interests(
        self, user_ids: Sequence[str], raw_memory: bool, forwarded: bool
    ) -> list[Any]:
        """Answer ``POST /v1/interest:batchGet``."""
        checked_ids(user_ids, "user_ids", MAX_USERS)

        async def local(partition: int, some: list[str]) -> list[Any]:
            return await self._interests(partition, some, raw_memory)

        async def remote(url: str, some: list[str]) -> list[Any]:
            path = "/v1/interest:batchGet" + ("?raw_memory=true" if raw_memory else "")
            query = Query("POST", path, msgspec.json.encode({"user_ids": some}))
            reply = accepted(await self._queries.ask(url, query))
            users: list[Any] = msgspec.json.decode(reply.body)["users"]
            return users

        with metrics.QUERY_SECONDS.labels("batch_get").time():
            return await self._queries.many_users(user_ids, forwarded, local, remote)

    async def _interests(
        self, partition: int, user_ids: Sequence[str], raw_memory: bool
    ) -> list[Any]:
        views = self._views

        def look(center: PartitionCenter) -> list[Any]:
            read = center.read([encode_id(user) for user in user_ids])
            hashed = set().union(*(views.hashed_ids(stored) for stored in read.states))
            texts = center.texts_of(hashed)
            freshness = freshness_of(partition, read)
            return [
                views.interest(user_id, stored, texts, freshness, raw_memory)
                for user_id, stored in zip(user_ids, read.states, strict=True)
            ]

        return await self._queries.read(partition, len(user_ids) <= FEW_USERS, look)


def freshness_of(partition: int, read: PartitionRead) -> Freshness:
    """Say how fresh a read is."""
    return Freshness(
        partition=partition,
        watermark=read.watermark,
        now_ms=time.time_ns() // 1_000_000,
        history_from=read.history_from,
        memory_from=read.memory_from,
    )
