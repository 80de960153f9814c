"""Which interest worker owns which partition: asked of any worker, cached, asked again on doubt."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import msgspec
import structlog

from interest_center.core.ids import partition_of

log = structlog.get_logger(__name__)

REFRESH_SECONDS = 5.0
ASK_SECONDS = 1.0
MIN_INTERVAL_SECONDS = 0.1

#: What a worker that cannot be reached, or says something else, makes aiohttp and msgspec raise.
NO_ANSWER = (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError, UnicodeDecodeError)


class _Partition(msgspec.Struct):
    partition: int
    owner_url: str | None = None


class _Partitions(msgspec.Struct):
    n_partitions: int
    partitions: list[_Partition]


_DECODER = msgspec.json.Decoder(_Partitions)


@dataclass(frozen=True)
class OwnerMap:
    """Owners of all partitions.

    Attributes:
        urls: Base URL of each partition's owner, None where nobody is known to be it.
    """

    urls: tuple[str | None, ...]

    @property
    def n_owned(self) -> int:
        """Partitions with a known owner."""
        return sum(url is not None for url in self.urls)

    def owner_of(self, user_id: str) -> str | None:
        """Return the URL of the worker that answers for a user, None while there is none."""
        return self.urls[partition_of(user_id.encode(), len(self.urls))]


class Owners:
    """The owner map, kept fresh.

    Args:
        session: Connections to the workers.
        worker_urls: Workers that may be asked; every owner heard of is asked as well.
    """

    def __init__(self, session: aiohttp.ClientSession, worker_urls: Sequence[str]) -> None:
        self._session = session
        self._worker_urls = tuple(url.rstrip("/") for url in worker_urls)
        self._refreshing: asyncio.Task[None] | None = None
        self._last_refresh = float("-inf")
        self._heard = True
        self.map: OwnerMap | None = None

    def owner_of(self, user_id: str) -> str | None:
        """Return the URL of the owner as far as known."""
        return None if self.map is None else self.map.owner_of(user_id)

    async def refresh(self) -> None:
        """Ask the workers who owns what, unless they have just been asked.

        Callers at the same time share one round of questions.
        """
        self.refresh_soon()
        if self._refreshing is not None:
            await asyncio.shield(self._refreshing)

    def refresh_soon(self) -> None:
        """Begin to ask the workers, unless they are or have just been asked; does not wait."""
        # A failing worker must not be flooded by every request that it fails.
        idle = self._refreshing is None or self._refreshing.done()
        now = asyncio.get_running_loop().time()
        if idle and now >= self._last_refresh + MIN_INTERVAL_SECONDS:
            self._refreshing = asyncio.create_task(self._refresh(), name="refresh-owners")

    async def close(self) -> None:
        """Stop asking."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    async def keep_fresh(self) -> None:
        """Ask every few seconds until cancelled, more often while there is no complete map."""
        while True:
            await self.refresh()
            complete = self.map is not None and self.map.n_owned == len(self.map.urls)
            await asyncio.sleep(REFRESH_SECONDS if complete else REFRESH_SECONDS / 10)

    async def _refresh(self) -> None:
        best: OwnerMap | None = None
        questions = [asyncio.create_task(self._ask(url)) for url in self._known_urls()]
        try:
            for question in asyncio.as_completed(questions):
                answer = await question
                if answer is not None and (best is None or answer.n_owned > best.n_owned):
                    best = answer
                if best is not None and best.n_owned == len(best.urls):
                    break
        finally:
            for question in questions:
                question.cancel()
            self._last_refresh = asyncio.get_running_loop().time()
        self._note(best)

    def _note(self, found: OwnerMap | None) -> None:
        """Keep what was found; an old map is better than none."""
        if found is None:
            if self._heard:
                log.warning("no_interest_worker_answers", asked=self._known_urls())
        elif found != self.map:
            log.info("owners", n_partitions=len(found.urls), n_owned=found.n_owned)
        self._heard = found is not None
        self.map = found or self.map

    def _known_urls(self) -> list[str]:
        owners = [] if self.map is None else [url for url in self.map.urls if url is not None]
        return list(dict.fromkeys((*self._worker_urls, *owners)))

    async def _ask(self, url: str) -> OwnerMap | None:
        try:
            async with (
                asyncio.timeout(ASK_SECONDS),
                self._session.get(f"{url}/v1/partitions") as response,
            ):
                if response.status != 200:
                    return None
                return owner_map_of(_DECODER.decode(await response.read()))
        except NO_ANSWER as error:
            log.debug("no_answer", url=url, error=str(error))
            return None


def owner_map_of(answer: _Partitions) -> OwnerMap | None:
    """Return the map, None when the worker does not know of all partitions yet."""
    urls = {one.partition: one.owner_url for one in answer.partitions}
    if answer.n_partitions < 1 or set(urls) != set(range(answer.n_partitions)):
        return None
    return OwnerMap(tuple(urls[partition] for partition in range(answer.n_partitions)))
