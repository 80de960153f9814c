"""A ranking worker in the event loop of a test, asked over HTTP."""

import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from interest_nodes import serving
from prometheus_client.parser import text_string_to_metric_families

from models.bundle import Bundle
from ranking.app import create_app
from ranking.rankings import Rankings
from ranking.state_client import StateClient

TIME_MS = 1_764_000_000_000
DEADLINE_SECONDS = 5.0
CANDIDATES = [{"item_id": str(item)} for item in range(1, 41)]


@dataclass
class RankingWorker:
    """A running ranking worker, asked over HTTP."""

    url: str
    session: aiohttp.ClientSession

    async def post(self, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
        sent = {"content-type": "application/json"} | headers
        async with self.session.post(
            f"{self.url}/v1/rank", data=io.BytesIO(body), headers=sent
        ) as response:
            return response.status, await response.json()

    async def rank(self, user_id: str, **fields: Any) -> dict[str, Any]:
        request = {"user_id": user_id, "candidates": CANDIDATES, "time_ms": TIME_MS} | fields
        status, answer = await self.post(json.dumps(request).encode())
        assert status == 200, answer
        return answer

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(self.url + path) as response:
            return response.status, await response.text()

    async def count(self, sample_name: str, **labels: str) -> float:
        _, text = await self.get("/metrics")
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == sample_name and labels.items() <= sample.labels.items():
                    return sample.value
        return 0.0


@asynccontextmanager
async def running(
    bundle: Bundle,
    worker_urls: list[str],
    deadline_seconds: float = DEADLINE_SECONDS,
    **more: Bundle,
) -> AsyncIterator[RankingWorker]:
    """Run a ranking worker in this event loop."""
    async with (
        StateClient(worker_urls, deadline_seconds, bundle.memory_fingerprint != 0) as states,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        rankings = Rankings({"default": bundle, **more}, states, lambda: TIME_MS)
        async with serving(create_app(rankings)) as url:
            yield RankingWorker(url, session)
        rankings.close()


def history(user_id: str, n: int) -> list[dict[str, Any]]:
    """Return clicks of a user, one a minute, the last at ``TIME_MS - 60_000``."""
    return [
        {
            "user_id": user_id,
            "item_id": str(i % 90 + 1) if i % 7 else f"item-{i}",
            "category_id": str(i % 9 + 1),
            "event_type": "click",
            "event_time_ms": TIME_MS - (n - i) * 60_000,
        }
        for i in range(n)
    ]


def brought(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return events as a request brings them."""
    return [{k: v for k, v in event.items() if k != "user_id"} for event in events]


def scores(answer: dict[str, Any]) -> dict[str, float]:
    return {item["item_id"]: item["score"] for item in answer["items"]}


def command(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start ``uic``."""
    return subprocess.Popen(
        [sys.executable, "-m", "interest_center.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("UIC_")} | environment,
    )
