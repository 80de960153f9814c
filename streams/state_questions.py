"""Asks the interest workers for the stored records of many users, as the ranking workers do."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

import aiohttp
import msgspec

from interest_center.core.errors import InterestCenterError
from interest_center.core.messages import (
    MSGPACK_MEDIA_TYPE,
    StatesAnswer,
    StatesRequest,
    UserState,
)

AT_ONCE = 16
WAIT_SECONDS = 60.0
PAUSE_SECONDS = 0.3
_NO_ANSWER = (aiohttp.ClientError, TimeoutError, OSError)


class NoAnswerError(InterestCenterError):
    """No worker answers, or none does for a partition, for too long."""


class StateQuestions:
    """Questions to any of the workers; use as an asynchronous context manager.

    Args:
        urls: Interest workers.
        wait_seconds: How long a question waits for workers that are away or not ready.
    """

    def __init__(self, urls: Sequence[str], wait_seconds: float = WAIT_SECONDS) -> None:
        self._urls = [url.strip().rstrip("/") for url in urls if url.strip()]
        self._wait_seconds = wait_seconds
        self._places = asyncio.Semaphore(AT_ONCE)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30.0))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def states(
        self, categories: Mapping[str, Sequence[int]], memory: bool
    ) -> list[UserState]:
        """Return the records of users, each taken at one watermark.

        Args:
            categories: Whose sub-sequences are wanted, by user.
            memory: Whether memories are wanted.

        Raises:
            NoAnswerError: Nobody answers in time.
        """
        return await asyncio.gather(
            *(self._state(user, wanted, memory) for user, wanted in categories.items())
        )

    async def _state(self, user: str, categories: Sequence[int], memory: bool) -> UserState:
        body = msgspec.msgpack.encode(StatesRequest([user], list(categories), memory))
        headers = {"content-type": MSGPACK_MEDIA_TYPE}
        async with self._places:
            content = await self._asked("POST", "/v1/states:multiGet", body, headers)
        return msgspec.msgpack.decode(content, type=StatesAnswer).states[0]

    async def interests(self, users: Sequence[str]) -> list[dict[str, Any]]:
        """Return the states of users as people see them.

        Raises:
            NoAnswerError: Nobody answers in time.
        """
        body = msgspec.json.encode({"user_ids": list(users)})
        headers = {"content-type": "application/json"}
        content = await self._asked("POST", "/v1/interest:batchGet", body, headers)
        answers: list[dict[str, Any]] = msgspec.json.decode(content)["users"]
        return answers

    async def partitions(self) -> dict[int, dict[str, Any]]:
        """Return what the owner of each partition says of it.

        Raises:
            NoAnswerError: A partition has no owner that answers in time.
        """
        deadline = time.monotonic() + self._wait_seconds
        while True:
            found: dict[int, dict[str, Any]] = {}
            n_partitions, urls, asked = 1, list(self._urls), set[str]()
            while urls:
                url = urls.pop()
                if url in asked:
                    continue
                asked.add(url)
                answer = await self._partitions_of(url)
                n_partitions = max(n_partitions, int(answer.get("n_partitions", 0)))
                for part in answer.get("partitions", ()):
                    if part["mine"] and part["ready"]:
                        found[part["partition"]] = part
                    elif part.get("owner_url"):
                        urls.append(part["owner_url"])
            if len(found) == n_partitions:
                return found
            if time.monotonic() > deadline:
                missing = sorted(set(range(n_partitions)) - found.keys())
                raise NoAnswerError(
                    f"no worker is ready for partitions {missing}",
                    hint="wait until /health/ready of all workers, see `uic lag`",
                )
            await asyncio.sleep(PAUSE_SECONDS)

    async def save_snapshots(self, url: str) -> list[dict[str, Any]]:
        """Let one worker save its partitions; return what became of each.

        Raises:
            NoAnswerError: It does not answer, or does not save any.
        """
        timeout = aiohttp.ClientTimeout(total=None)
        try:
            async with self._session.post(url + "/v1/snapshots", timeout=timeout) as answer:
                content = await answer.json()
        except _NO_ANSWER as error:
            raise NoAnswerError(f"{url} does not answer ({error})") from error
        if answer.status != 200:
            raise NoAnswerError(f"{url}: {content.get('error', answer.status)}")
        saved: list[dict[str, Any]] = content["snapshots"]
        return saved

    async def _partitions_of(self, url: str) -> dict[str, Any]:
        try:
            async with self._session.get(url + "/v1/partitions") as answer:
                content: dict[str, Any] = await answer.json()
                return content
        except _NO_ANSWER:
            return {}

    async def _asked(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        """Ask the workers in turn until one answers."""
        deadline = time.monotonic() + self._wait_seconds
        while True:
            why = "no worker URL"
            for url in self._urls:
                try:
                    request = self._session.request(method, url + path, data=body, headers=headers)
                    async with request as answer:
                        content = await answer.read()
                        if answer.status == 200:
                            return content
                        why = f"{url} answered {answer.status}: {content[:200]!r}"
                        if answer.status != 503:
                            raise NoAnswerError(why)
                except _NO_ANSWER as error:
                    why = f"{url} does not answer ({error or type(error).__name__})"
            if time.monotonic() > deadline:
                raise NoAnswerError(why, hint="start a worker, or name it by UIC_WORKER_URLS")
            await asyncio.sleep(PAUSE_SECONDS)
