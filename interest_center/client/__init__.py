"""The Python client: push events to Kafka, and ask any worker for states over HTTP."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from interest_center.client.asking import WAIT_SECONDS, StateReader, WorkerUnreachableError
from interest_center.client.pushing import Acknowledgement, EventFields, EventPusher, PushError
from interest_center.core.errors import BadRequestError, NotReadyError
from interest_center.settings import Settings, load_settings

__all__ = [
    "Acknowledgement",
    "BadRequestError",
    "EventFields",
    "EventPusher",
    "InterestClient",
    "NotReadyError",
    "PushError",
    "StateReader",
    "WorkerUnreachableError",
]


class InterestClient(EventPusher, StateReader):
    """Pushes events and reads states; may be shared by threads.

    Kafka is connected to at the first push, the workers at each question::

        with InterestClient() as client:
            client.push(user_id="u42", item_id="i7", event_type="click").result()
            client.interest("u42")["behaviors"]

    Args:
        settings: Where Kafka and the workers are; default: the environment (``UIC_...``).
        urls: Workers to ask instead of those of the settings; any of them answers for any user.
        wait_seconds: How long a question waits for a partition that is not ready.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        urls: Sequence[str] = (),
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        settings = settings or load_settings()
        EventPusher.__init__(self, settings)
        StateReader.__init__(self, urls or settings.worker_urls.split(","), wait_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
