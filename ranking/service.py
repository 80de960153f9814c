"""The composition root of a ranking worker."""

import asyncio
import gc
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
import torch
import uvicorn
import uvloop

from interest_center.core.errors import ConfigurationError
from interest_center.settings import Settings
from models.bundle import Bundle, load_bundle
from ranking.app import create_app
from ranking.catalog_upkeep import catalog_source
from ranking.exposures import ExposureLog
from ranking.kafka_path import KafkaPath
from ranking.options import RankerOptions
from ranking.port import listen
from ranking.rankings import Rankings
from ranking.state_client import StateClient

log = structlog.get_logger(__name__)

#: Name of the model of ``--bundle``.
DEFAULT_MODEL = "default"
GRACEFUL_SECONDS = 5
_NO_OPTIONS = RankerOptions()


class RankingServer(uvicorn.Server):
    """A uvicorn that ends with status 0 when it is told to end, after the requests it has."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop taking requests; a second signal does not wait for the running ones."""
        self.force_exit = self.should_exit
        self.should_exit = True


def worker_urls(settings: Settings) -> list[str]:
    """Return the addresses of the interest workers.

    Raises:
        ConfigurationError: There is none, or one is not a URL.
    """
    urls = [url.strip() for url in settings.worker_urls.split(",") if url.strip()]
    wrong = [url for url in urls if not url.startswith(("http://", "https://"))]
    if wrong or not urls:
        raise ConfigurationError(
            f"not the URL of an interest worker: {', '.join(wrong) or 'nothing given'}",
            hint="for example --worker-urls http://127.0.0.1:8080",
        )
    return urls


def bundles_of(settings: Settings, more: Sequence[str]) -> dict[str, Bundle]:
    """Load the bundles, by the name that a request may ask for; the first one is the default.

    Args:
        settings: Name the default one.
        more: Others, each as ``NAME=DIRECTORY``.

    Raises:
        ConfigurationError: None is named, or a name is given twice or without a directory.
        BundleError: One is missing or damaged.
    """
    if settings.bundle is None:
        raise ConfigurationError(
            "a ranker needs a model bundle, and none is named",
            hint="make one with `uic train --events FILE --samples FILE --out DIR`, "
            "then `uic ranker --bundle DIR` or UIC_BUNDLE=DIR",
        )
    found = {DEFAULT_MODEL: load_bundle(settings.bundle)}
    for one in more:
        name, _, directory = one.partition("=")
        if not name or not directory or name in found:
            raise ConfigurationError(
                f"not a model of its own: {one}",
                hint="for example --model new=bundles/new; the names must differ, and the one of "
                f"--bundle is `{DEFAULT_MODEL}`",
            )
        found[name] = load_bundle(Path(directory))
    return found


async def serve(
    bundles: Mapping[str, Bundle],
    settings: Settings,
    listener: socket.socket,
    options: RankerOptions = _NO_OPTIONS,
) -> None:
    """Answer until told to end.

    Args:
        bundles: What scores, by name.
        settings: Where the states are, and how long to wait for them.
        listener: Port, opened when the model is warm.
        options: What else it does.
    """
    memory = any(bundle.memory_fingerprint for bundle in bundles.values())
    deadline = settings.rank_deadline_ms / 1000
    async with StateClient(worker_urls(settings), deadline, memory) as states:
        exposures = ExposureLog(settings) if settings.exposures_topic else None
        note = None if exposures is None else exposures.note
        rankings = Rankings(bundles, states, lambda: time.time_ns() // 1_000_000, note)
        width = rankings.bundles[rankings.default].ranker.model.config.item_dim
        catalog = catalog_source(settings, width)
        kafka = KafkaPath(settings, rankings) if options.from_kafka else None
        async with AsyncExitStack() as stack:
            stack.callback(rankings.close)
            beside = []
            if catalog is not None:
                stack.push_async_callback(catalog.stop)
                rankings.use_catalog(await catalog.first())
                beside.append(catalog.run(rankings.use_catalog))
            for one in (exposures, kafka):
                if one is not None:
                    stack.push_async_callback(one.stop)
                    await one.start()
                    beside.append(one.run())
            await _serve_http(rankings, listener, options, beside)
    log.info("stopped")


async def _serve_http(
    rankings: Rankings,
    listener: socket.socket,
    options: RankerOptions,
    beside: Sequence[Coroutine[Any, Any, None]],
) -> None:
    """Warm up, open the port, and answer until told to end."""
    rankings.warm_up()
    # What lives now lives for ever: no request shall pay for looking at it again.
    gc.collect()
    gc.freeze()
    server = RankingServer(
        uvicorn.Config(
            create_app(rankings),
            log_config=None,
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
        )
    )
    listen(listener)
    host, port = listener.getsockname()[:2]
    models = {name: bundle.name for name, bundle in rankings.bundles.items()}
    log.info("listening", url=f"http://{host}:{port}", models=models)
    if options.has_parent:
        _end_with_parent(server)
    await _until_told(server, listener, beside)


def _end_with_parent(server: RankingServer) -> None:
    """End when the standard input does: a parent writes nothing, and is gone then."""
    loop, parent = asyncio.get_running_loop(), sys.stdin.fileno()

    def gone() -> None:
        loop.remove_reader(parent)
        server.handle_exit(signal.SIGTERM, None)

    loop.add_reader(parent, gone)


async def _until_told(
    server: uvicorn.Server, listener: socket.socket, beside: Sequence[Coroutine[Any, Any, None]]
) -> None:
    """Serve, with what runs beside it; a bug in either ends both."""
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    tasks = [serving, *(asyncio.create_task(one) for one in beside)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    await serving
    for task in tasks[1:]:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def run(settings: Settings, options: RankerOptions, listener: socket.socket) -> None:
    """Load the models and answer at a port until told to end.

    Args:
        settings: Name the default bundle, where the states are, and how long to wait for them.
        options: Other bundles, and what else it does.
        listener: Port, opened when the models are warm.

    Raises:
        ConfigurationError: A setting is wrong.
        BundleError: A bundle is missing or damaged.
    """
    # One request has one core: more threads only make the others wait.
    torch.set_num_threads(1)
    uvloop.run(serve(bundles_of(settings, options.models), settings, listener, options))
