"""Reads the running system over HTTP with plain clients, none of them the product's own."""

import asyncio
import http.client
import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

BATCH_USERS = 50
CONNECTIONS = 8

Answer = dict[str, Any]


class UnexpectedAnswerError(Exception):
    """The system answered something else than documented."""


class Connection:
    """One kept-alive HTTP connection for requests one after another."""

    def __init__(self, url: str, timeout: float = 30.0) -> None:
        self.host = urlsplit(url).netloc
        self.http = http.client.HTTPConnection(self.host, timeout=timeout)

    def call(
        self, method: str, path: str, body: object = None, media_type: str = "application/json"
    ) -> tuple[int, bytes]:
        """Return status and body; a connection that was closed is opened once more.

        Args:
            method: Of HTTP.
            path: With its query.
            body: Bytes as they are, anything else as JSON.
            media_type: Of the body.
        """
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": media_type} if data is not None else {}
        try:
            self.http.request(method, path, data, headers)
            answer = self.http.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.http.close()
            self.http.request(method, path, data, headers)
            answer = self.http.getresponse()
        return answer.status, answer.read()

    def get(self, path: str) -> Answer:
        """Return the JSON of a GET that has to succeed."""
        return _checked(*self.call("GET", path), path)

    def post(self, path: str, body: object) -> Answer:
        """Return the JSON of a POST that has to succeed."""
        return _checked(*self.call("POST", path, body), path)

    def close(self) -> None:
        """Close the connection."""
        self.http.close()


def _checked(status: int, body: bytes, path: str) -> Answer:
    if status // 100 != 2:
        raise UnexpectedAnswerError(f"{path} answered {status}: {body[:300]!r}")
    answer: Answer = json.loads(body)
    return answer


def status_of(url: str) -> int:
    """Return the HTTP status of a GET, 0 when nobody answers."""
    parts = urlsplit(url)
    connection = Connection(url, timeout=2.0)
    try:
        return connection.call("GET", parts.path or "/")[0]
    except OSError:
        return 0
    finally:
        connection.close()


def get_json(url: str) -> Answer:
    """Return the JSON of one GET on a connection of its own."""
    connection = Connection(url)
    try:
        parts = urlsplit(url)
        return connection.get(parts.path + (f"?{parts.query}" if parts.query else ""))
    finally:
        connection.close()


def interest_path(user: str) -> str:
    """Return the path of a user's state."""
    return f"/v1/users/{quote(user, safe='')}/interest"


def category_path(user: str, category: str) -> str:
    """Return the path of a user's sub-sequence in a category."""
    return f"/v1/users/{quote(user, safe='')}/categories/{quote(category, safe='')}"


def owned_partitions(url: str) -> dict[int, Answer]:
    """Return what a worker says of the partitions that are its own, by number."""
    answer = get_json(url + "/v1/partitions")
    return {part["partition"]: part for part in answer["partitions"] if part["mine"]}


def positions(url: str) -> dict[int, int]:
    """Return the next offset to apply of each partition that a worker owns."""
    return {number: int(part["position"]) for number, part in owned_partitions(url).items()}


def metric(url: str, name: str) -> dict[str, float]:
    """Return the samples of one metric of a worker or ranker, by their label text."""
    connection = Connection(url)
    try:
        status, body = connection.call("GET", "/metrics")
    finally:
        connection.close()
    if status != 200:
        raise UnexpectedAnswerError(f"/metrics answered {status}")
    pattern = re.compile(rf"^{re.escape(name)}(?:{{(.*)}})? (\S+)$", re.MULTILINE)
    return {labels or "": float(value) for labels, value in pattern.findall(body.decode())}


def read_users(url: str, users: Sequence[str]) -> dict[str, Answer]:
    """Return the whole state of every user: profile, memory values and all sub-sequences.

    Each user's ``subsequences`` holds one answer per category that the state lists.
    """
    return asyncio.run(_read_users(url, users))


async def _read_users(url: str, users: Sequence[str]) -> dict[str, Answer]:
    batches = [users[i : i + BATCH_USERS] for i in range(0, len(users), BATCH_USERS)]
    places = asyncio.Semaphore(CONNECTIONS)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(url, connector=connector) as http_session:

        async def one_batch(batch: Sequence[str]) -> list[Answer]:
            async with places:
                body = {"user_ids": list(batch)}
                path = "/v1/interest:batchGet?raw_memory=true"
                answers = (await _call(http_session, "POST", path, body))["users"]
                for answer in answers:
                    await _add_subsequences(http_session, answer)
                return list(answers)

        read = await asyncio.gather(*(one_batch(batch) for batch in batches))
    return {answer["user_id"]: answer for batch in read for answer in batch}


async def _add_subsequences(http_session: aiohttp.ClientSession, answer: Answer) -> None:
    user = answer["user_id"]
    names = [category["category_id"] for category in answer["categories"]]
    answer["subsequences"] = {
        name: await _call(http_session, "GET", category_path(user, name)) for name in names
    }


async def _call(
    http_session: aiohttp.ClientSession, method: str, path: str, body: object = None
) -> Answer:
    # The path is quoted already; yarl must not do it again.
    from yarl import URL

    async with http_session.request(method, URL(path, encoded=True), json=body) as answer:
        return _checked(answer.status, await answer.read(), path)
