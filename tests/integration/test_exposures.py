"""What was shown, in its topic."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from kafka import KafkaConsumer, TopicPartition
from ranking_worker import CANDIDATES, TIME_MS
from worker_process import Sender

from interest_center.core.errors import ConfigurationError
from interest_center.settings import Settings, environment_of
from models.bundle import Bundle, load_bundle, untrained_bundle
from models.prediction import predict
from models.request_batches import RequestTensors
from models.samples import point_in_time
from models.tables import read_events, read_samples
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
async def logging(
    bundle: Bundle,
    settings: Settings,
    worker_url: str = "http://127.0.0.1:1",
    patience: float = 0.05,
) -> AsyncIterator[Rankings]:
    """Rank, without interest workers if none is named, and log what is shown."""
    shown = ExposureLog(settings)
    async with StateClient([worker_url], patience, bundle.memory_fingerprint != 0) as states:
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


def make_tables(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "interest_center.cli", "exposures", *arguments],
        env=environment_of(settings),
        capture_output=True,
        text=True,
        check=False,
    )


async def test_a_training_sees_what_the_scores_have_seen(
    worker_settings: Settings,
    topic_names: Callable[[str], str],
    sender: Sender,
    tmp_path: Path,
    start,
) -> None:
    """Events come late, twice, and with times of the future: no time could tell what was seen."""
    untrained_bundle(tmp_path / "bundle", "din+mimn")
    bundle = load_bundle(tmp_path / "bundle")
    settings = worker_settings.model_copy(
        update={"exposures_topic": topic_names("shown"), "bundle": tmp_path / "bundle"}
    )
    create_topics(settings, ranking_plans(settings))
    worker = start(bundle=settings.bundle).wait_ready()
    rng, began = np.random.default_rng(1), time.time_ns() // 1_000_000
    candidates = [Candidate(str(item)) for item in range(1, 21)]
    async with logging(bundle, settings, worker.url, 5.0) as rankings:
        for number in range(8):
            with sender.producer() as producer:
                for _ in range(100):
                    user = f"user-{rng.integers(5)}"
                    away = int(rng.integers(-3_600_000, 200_000))
                    value = sender.event(user, event_time_ms=began + away)
                    for _ in range(int(rng.integers(1, 3))):
                        producer.send(settings.events_topic, key=user.encode(), value=value)
            await asyncio.to_thread(worker.wait_level)
            for user in range(6):  # The last one does nothing, ever.
                asked = RankRequest(f"user-{user}", candidates, page=number, time_ms=began + number)
                answer = await rankings.rank(lambda asked=asked: asked)  # type: ignore[misc]
                assert answer.degraded is None
    await asyncio.sleep(1)
    out = tmp_path / "tables"
    told = make_tables(settings, "--out", str(out), "--within", "1s")
    assert told.returncode == 0, told.stderr
    assert "48 exposures" in told.stdout
    events = read_events(out / "events.parquet", bundle.state)
    joined = point_in_time(events, read_samples(out / "samples.parquet"), bundle.state)
    assert joined.n_duplicate_events > 100
    model = bundle.ranker.model
    tensors = RequestTensors(joined, bundle.vocabulary, model.config)
    rows, scores = predict(model, tensors, np.arange(len(joined.requests.users)), bundle.updater)
    served = pl.read_parquet(out / "samples.parquet")["served_probability"].to_numpy()
    assert len(rows) == len(served) == 48 * 20
    np.testing.assert_allclose(scores, served[joined.requests.rows[rows]], atol=1e-6)


def test_what_cannot_be_made_into_tables_is_said(
    worker_settings: Settings, settings: Settings, tmp_path: Path
) -> None:
    out = ("--out", str(tmp_path / "tables"))
    unnamed = make_tables(worker_settings, *out)
    assert unnamed.returncode == 2
    assert "set UIC_EXPOSURES_TOPIC" in unnamed.stderr
    named = worker_settings.model_copy(update={"exposures_topic": settings.exposures_topic})
    missing = make_tables(named, *out)
    assert missing.returncode == 2
    assert f"topic {settings.exposures_topic} is not there" in missing.stderr
    create_topics(settings, ranking_plans(settings))
    empty = make_tables(named, *out)
    assert empty.returncode == 2
    assert "no exposure is left" in empty.stderr
    wrong = make_tables(named, *out, "--positives", "click,stare")
    assert wrong.returncode == 2
    assert "--positives names stare" in wrong.stderr
