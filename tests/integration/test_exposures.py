"""What was shown, in its topic."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from ranking_worker import CANDIDATES, TIME_MS

from interest_center.core.errors import ConfigurationError
from interest_center.settings import Settings
from models.bundle import Bundle
from ranking import exposures as exposures_module
from ranking.exposures import ExposureLog
from ranking.messages import Candidate, RankRequest, Trigger
from ranking.rankings import Rankings
from ranking.state_client import StateClient
from streams.topics import create_topics, ranking_plans

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(ranking_settings: Settings, topic_names: Callable[[str], str]) -> Settings:
    return ranking_settings.model_copy(update={"exposures_topic": topic_names("shown")})


@asynccontextmanager
async def logging(bundle: Bundle, settings: Settings) -> AsyncIterator[Rankings]:
    """Rank without interest workers, and log what is shown."""
    shown = ExposureLog(settings)
    async with StateClient(["http://127.0.0.1:1"], 0.05) as states:
        rankings = Rankings({"default": bundle}, states, lambda: TIME_MS, shown.note)
        try:
            await shown.start()
            running = asyncio.create_task(shown.run())
            yield rankings
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        finally:
            await shown.stop()
            rankings.close()


def records_of(settings: Settings) -> list[Any]:
    consumer = KafkaConsumer(bootstrap_servers=settings.bootstrap_servers)
    places = [TopicPartition(settings.exposures_topic, n) for n in range(settings.partitions)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    ends = consumer.end_offsets(places)
    found: list[Any] = []
    while any(consumer.position(place) < ends[place] for place in places):
        found += [record for some in consumer.poll(500).values() for record in some]
    consumer.close()
    return found


async def test_each_answer_is_logged_with_what_it_was_made_from(
    bundle: Bundle, settings: Settings
) -> None:
    with pytest.raises(ConfigurationError, match="is not there"):
        async with logging(bundle, settings):
            pass
    create_topics(settings, ranking_plans(settings))
    candidates = [Candidate(one["item_id"], "7") for one in CANDIDATES]
    answers = {}
    async with logging(bundle, settings) as rankings:
        for number in range(20):
            asked = RankRequest(
                f"u{number}", candidates, trigger=Trigger("3", "5"), page=number, top_k=4
            )
            answers[f"u{number}"] = await rankings.rank(lambda asked=asked: asked)  # type: ignore[misc]
    records = records_of(settings)
    assert sorted(record.key.decode() for record in records) == sorted(answers)
    for record in records:
        told, user = json.loads(record.value), record.key.decode()
        answer = answers[user]
        assert told["items"] == [
            {"item_id": one.item_id, "category_id": "7", "probability": one.probability}
            for one in answer.items
        ]
        assert (told["user_id"], told["time_ms"], f"u{told['page']}") == (user, TIME_MS, user)
        assert (told["trigger_item_id"], told["trigger_category_id"]) == ("3", "5")
        assert (told["model"], told["degraded"]) == (bundle.fingerprint, "state_unavailable")
        assert (told["history"], told["watermark"], told["as_of"]) == ("none", None, None)


async def test_answers_do_not_wait_for_kafka(
    bundle: Bundle, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_topics(settings, ranking_plans(settings))
    monkeypatch.setattr(exposures_module, "MOST_WAITING", 3)

    async def never(*_: object, **__: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(exposures_module.AIOKafkaProducer, "send", never)
    monkeypatch.setattr(exposures_module, "STOP_SECONDS", 0.5)
    lost = exposures_module.metrics.RANK_EXPOSURES.labels("lost")
    before = lost._value.get()
    async with logging(bundle, settings) as rankings:
        for number in range(20):
            asked = RankRequest(f"u{number}", [Candidate("1")])
            answer = await rankings.rank(lambda asked=asked: asked)  # type: ignore[misc]
            assert len(answer.items) == 1
    assert lost._value.get() - before >= 16
