"""Catalogs in use: a file that is replaced, a topic that goes on."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import polars as pl
import pytest
from kafka import KafkaProducer
from ranking_worker import TIME_MS

from interest_center.core.errors import ConfigurationError
from interest_center.settings import Settings, load_settings
from models.bundle import Bundle
from ranking import catalog_upkeep
from ranking.catalog_upkeep import catalog_source
from ranking.messages import Candidate, RankRequest
from ranking.rankings import Rankings
from ranking.state_client import StateClient
from streams.topics import create_topics, ranking_plans

NEW = "an item that came after training"
SECONDS = 30.0


class Shop:
    """Rankings under a catalog."""

    def __init__(self, rankings: Rankings) -> None:
        self._rankings = rankings

    async def score(self, category_id: str | None = None) -> float:
        """Return the score of the new item."""
        request = RankRequest("u1", [Candidate(NEW, category_id)], time_ms=TIME_MS)
        answer = await self._rankings.rank(lambda: request)
        return answer.items[0].score

    async def until(self, category_id: str | None) -> None:
        """Wait until the new item is scored as if the request gave this category."""
        wanted = await self.score(category_id or "there is no such category")
        deadline = asyncio.get_running_loop().time() + SECONDS
        while await self.score() != wanted:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.05)


@asynccontextmanager
async def shop(bundle: Bundle, settings: Settings) -> AsyncIterator[Shop]:
    """Rank without interest workers, with the catalog of the settings."""
    width = bundle.ranker.model.config.item_dim
    async with StateClient(["http://127.0.0.1:1"], 0.05) as states:
        rankings = Rankings({"default": bundle}, states, lambda: TIME_MS)
        source = catalog_source(settings, width)
        assert source is not None
        try:
            rankings.use_catalog(await source.first())
            running = asyncio.create_task(source.run(rankings.use_catalog))
            yield Shop(rankings)
            assert not running.done()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        finally:
            await source.stop()
            rankings.close()


def write(path: Path, category_id: str) -> None:
    """Replace a file, as a shop would."""
    draft = path.with_suffix(".new.csv")
    pl.DataFrame({"item_id": [NEW], "category_id": [category_id]}).write_csv(draft)
    draft.rename(path)


async def test_a_file_that_is_replaced_is_used_and_a_wrong_one_is_not(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_upkeep, "LOOK_SECONDS", 0.1)
    path = tmp_path / "catalog.csv"
    write(path, "3")
    async with shop(bundle, load_settings(catalog=path)) as it:
        await it.until("3")
        assert await it.score() != await it.score("4")
        write(path, "4")
        await it.until("4")
        path.write_text("item,colour\n1,red\n")
        await asyncio.sleep(0.5)
        assert await it.score() == await it.score("4")
        path.unlink()
        await asyncio.sleep(0.3)
        write(path, "5")
        await it.until("5")


@pytest.mark.kafka
async def test_a_topic_is_read_from_its_beginning_and_followed(
    bundle: Bundle, ranking_settings: Settings, topic_names: Callable[[str], str]
) -> None:
    settings = ranking_settings.model_copy(update={"catalog_topic": topic_names("catalog")})
    with pytest.raises(ConfigurationError, match="is not there"):
        async with shop(bundle, settings):
            pass
    create_topics(settings, ranking_plans(settings))
    producer = KafkaProducer(bootstrap_servers=settings.bootstrap_servers, acks="all")

    def say(item_id: str, **fields: object) -> None:
        value = json.dumps(fields).encode() if fields else None
        producer.send(settings.catalog_topic, value, key=item_id.encode())

    for number in range(1_000):
        say(str(number), category_id=str(number % 5 + 1))
    say(NEW, category_id="9")
    say(NEW, category_id="3")
    producer.flush()
    async with shop(bundle, settings) as it:
        assert await it.score() == await it.score("3")
        producer.send(settings.catalog_topic, b"no JSON", key=NEW.encode())
        say(NEW, category_id="4")
        producer.flush()
        await it.until("4")
        say(NEW)
        producer.flush()
        await it.until(None)
    producer.close()


def test_two_catalogs_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="two catalogs"):
        catalog_source(load_settings(catalog=tmp_path / "a", catalog_topic="b"), 2)
