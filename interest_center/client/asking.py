"""Asking any interest worker for states, over HTTP."""

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

from interest_center.core.errors import (
    BadRequestError,
    ConfigurationError,
    InterestCenterError,
    NotReadyError,
)
from interest_center.core.events import MAX_ID_CHARS

ANSWER_TIMEOUT_SECONDS = 5.0
WAIT_SECONDS = 10.0
RETRY_SECONDS = 0.2
HOW_TO_START_WORKER = "`uic worker`, or set UIC_WORKER_URLS to where workers listen"


class WorkerUnreachableError(InterestCenterError):
    """No interest worker answers at any of the URLs."""


class StateReader:
    """Reads states; may be shared by threads.

    Args:
        urls: Interest workers; any of them answers for any user.
        wait_seconds: How long a question waits for a partition that is not ready.

    Raises:
        ConfigurationError: There is no URL, or one is not ``http://HOST:PORT``.
    """

    def __init__(self, urls: Sequence[str], wait_seconds: float = WAIT_SECONDS) -> None:
        self._urls = [_checked_url(url) for url in urls if url.strip()]
        if not self._urls:
            raise ConfigurationError("no worker URL is given", hint=HOW_TO_START_WORKER)
        self._wait_seconds = wait_seconds
        # Workers are neighbours: the proxies of the environment are for the world outside.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def interest(self, user_id: str, raw_memory: bool = False) -> dict[str, Any]:
        """Return the interest state of a user; of an unknown one it is empty.

        Raises:
            NotReadyError: The user's partition was not ready in time.
            WorkerUnreachableError: No worker answers.
            BadRequestError: The user id is empty or too long.
        """
        suffix = "?raw_memory=true" if raw_memory else ""
        return self._ask(f"/v1/users/{_in_path(user_id, 'user_id')}/interest{suffix}")

    def category(self, user_id: str, category_id: str) -> dict[str, Any]:
        """Return the last behaviors of a user in one category.

        Raises:
            NotReadyError: The user's partition was not ready in time.
            WorkerUnreachableError: No worker answers.
            BadRequestError: An id is empty or too long.
        """
        user, category = _in_path(user_id, "user_id"), _in_path(category_id, "category_id")
        return self._ask(f"/v1/users/{user}/categories/{category}")

    def batch_get(self, user_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the interest states of up to 1,000 users, in their order.

        Raises:
            NotReadyError: A partition was not ready in time.
            WorkerUnreachableError: No worker answers.
            BadRequestError: An id is empty or too long, or there are too many.
        """
        body = json.dumps({"user_ids": list(user_ids)}).encode()
        users: list[dict[str, Any]] = self._ask("/v1/interest:batchGet", body)["users"]
        return users

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        """Ask the workers in turn until one answers or the time is up."""
        deadline = time.monotonic() + self._wait_seconds
        while True:
            refusals: list[InterestCenterError] = []
            for url in self._urls:
                try:
                    return self._ask_one(url + path, body)
                except (NotReadyError, WorkerUnreachableError) as error:
                    refusals.append(error)
            waits = [e.retry_after_seconds for e in refusals if isinstance(e, NotReadyError)]
            pause = min(waits, default=RETRY_SECONDS)
            if time.monotonic() + pause > deadline:
                # A worker that says when to come back tells more than one that is not there.
                raise next((e for e in refusals if isinstance(e, NotReadyError)), refusals[0])
            time.sleep(pause)

    def _ask_one(self, url: str, body: bytes | None) -> dict[str, Any]:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            try:
                with self._opener.open(request, timeout=ANSWER_TIMEOUT_SECONDS) as response:
                    answer: dict[str, Any] = json.load(response)
                    return answer
            except urllib.error.HTTPError as error:
                raise _refusal(url, error) from error
        # A worker that dies while it answers leaves half an answer (``IncompleteRead``).
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error or type(error).__name__
            raise WorkerUnreachableError(
                f"no interest worker answers at {url} ({reason})", hint=HOW_TO_START_WORKER
            ) from error


def _in_path(text: str, field: str) -> str:
    """Quote an id for a path.

    Raises:
        BadRequestError: It is empty, too long, or no text.
    """
    if not 1 <= len(text) <= MAX_ID_CHARS:
        raise BadRequestError(f"{field} has 1 to {MAX_ID_CHARS} characters", field)
    try:
        return urllib.parse.quote(text, safe="")
    except UnicodeEncodeError as error:
        raise BadRequestError(f"{field} is not text: {error}", field) from error


def _checked_url(text: str) -> str:
    """Return the URL of a worker without a slash at its end.

    Raises:
        ConfigurationError: It is not ``http://HOST:PORT``.
    """
    url = text.strip().rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{url!r} is no URL of a worker", hint=f"write it as http://{url or 'HOST:PORT'}"
        )
    return url


def _refusal(url: str, error: urllib.error.HTTPError) -> InterestCenterError:
    """Turn an answer that is no success into our error."""
    with error:
        content = error.read()
    try:
        answer = json.loads(content)
        message = str(answer["error"])
    except (ValueError, KeyError, TypeError):
        answer, message = {}, f"status {error.code} without our error body"
    if error.code == 503:
        seconds = answer.get("retry_after_seconds") or error.headers.get("Retry-After") or 1.0
        try:
            return NotReadyError(message, float(seconds))
        except ValueError:
            # A proxy may name a date instead of seconds.
            return NotReadyError(message)
    if error.code == 400:
        return BadRequestError(message, str(answer.get("field", "")))
    return InterestCenterError(f"{url} answered {error.code}: {message}")
