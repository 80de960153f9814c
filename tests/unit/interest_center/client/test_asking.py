"""Asking workers that die, refuse, recover or are none: over real sockets, byte by byte."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from interest_center.client.asking import StateReader, WorkerUnreachableError
from interest_center.core.errors import (
    BadRequestError,
    ConfigurationError,
    InterestCenterError,
    NotReadyError,
)

Serve = Callable[..., str]


def answer(body: object, status: str = "200 OK", *headers: str, missing_bytes: int = 0) -> bytes:
    """Return an answer; with missing bytes the connection ends in the middle of it."""
    content = json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(content) + missing_bytes}", *headers]
    return "\r\n".join([*head, "Connection: close", "", ""]).encode() + content


GOOD = answer({"user_id": "u"})


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve bytes, one answer a connection, the last one for ever; give the URL."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def begin(*answers: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            for n in range(1000):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answers[min(n, len(answers) - 1)])

        listeners.append(listener)
        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield begin
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


DYING = {
    "at once": b"",
    "in the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "in the body": answer({"user_id": "u"}, missing_bytes=10),
    "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{",
    "in a refusal": answer({"error": "no"}, "500 Internal Server Error", missing_bytes=10),
    "and is no worker": b"SSH-2.0-OpenSSH_9.2\r\n",
    "with no JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
}


@pytest.mark.parametrize("how", DYING)
def test_the_next_worker_is_asked_when_one_dies_while_it_answers(serve: Serve, how: str) -> None:
    dying = serve(DYING[how])
    assert StateReader([dying, serve(GOOD)]).interest("u") == {"user_id": "u"}
    with pytest.raises(WorkerUnreachableError, match="no interest worker answers at") as failed:
        StateReader([dying], wait_seconds=0).interest("u")
    assert dying in failed.value.message
    assert "`uic worker`" in failed.value.hint


@pytest.mark.parametrize("retry_after", ["0", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_worker_that_recovers_is_asked_again_until_the_time_is_up(
    serve: Serve, retry_after: str
) -> None:
    header = f"Retry-After: {retry_after}"
    busy = answer({"error": "partition 2 is recovering"}, "503 Service Unavailable", header)
    started = time.monotonic()
    assert StateReader([serve(busy, GOOD)], wait_seconds=5).interest("u") == {"user_id": "u"}
    assert time.monotonic() - started < 5
    with pytest.raises(NotReadyError, match="partition 2 is recovering"):
        StateReader([serve(DYING["at once"]), serve(busy)], wait_seconds=0).interest("u")


def test_a_refusal_is_told_at_once(serve: Serve) -> None:
    body = {"error": "an id has 1 to 256 characters", "field": "user_ids[1]"}
    reader = StateReader([serve(answer(body, "400 Bad Request"))])
    with pytest.raises(BadRequestError, match="1 to 256") as refused:
        reader.batch_get(["a", ""])
    assert refused.value.field == "user_ids[1]"
    proxy = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n<htm>"
    with pytest.raises(InterestCenterError, match="answered 404: status 404 without our error"):
        StateReader([serve(proxy)]).interest("u")


@pytest.mark.parametrize(
    ("text", "said"), [("", "1 to 256"), ("x" * 257, "1 to 256"), ("\udcff", "is not text")]
)
def test_a_bad_id_is_refused_before_anybody_is_asked(text: str, said: str) -> None:
    reader = StateReader(["http://127.0.0.1:1"])
    with pytest.raises(BadRequestError, match=f"user_id .*{said}|user_id {said}") as refused:
        reader.interest(text)
    assert refused.value.field == "user_id"
    with pytest.raises(BadRequestError, match="category_id") as refused:
        reader.category("u", text)
    assert refused.value.field == "category_id"


@pytest.mark.parametrize("urls", [[], [""], ["localhost:8080"], ["http://a:1", "file:///etc"]])
def test_urls_that_are_none_are_refused(urls: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="URL") as refused:
        StateReader(urls)
    assert refused.value.hint


def test_a_port_that_is_no_number_is_nobody(serve: Serve) -> None:
    urls = ["http://127.0.0.1:http", f" {serve(GOOD)}/ "]
    assert StateReader(urls).interest("u") == {"user_id": "u"}
