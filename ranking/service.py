"""``uic ranker``: the composition root of the ranking worker."""

import asyncio
import gc
import logging
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import click
import structlog
import torch
import uvicorn
import uvloop

from interest_center.core.errors import ConfigurationError
from interest_center.settings import Settings, load_settings
from models.bundle import Bundle, load_bundle
from ranking.app import create_app
from ranking.kafka_path import KafkaPath
from ranking.rankings import Rankings
from ranking.state_client import StateClient

log = structlog.get_logger(__name__)

#: Name of the model of ``--bundle``.
DEFAULT_MODEL = "default"
GRACEFUL_SECONDS = 5
BACKLOG = 1024


def configure_logs() -> None:
    """Send our log lines and the warnings of others to standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s [%(levelname)s] %(name)s: %(message)s"
    )


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


@contextmanager
def opening(host: str, port: int) -> Iterator[None]:
    """Turn what the operating system says while a port is opened into what to do about it.

    Raises:
        ConfigurationError: It cannot be opened.
    """
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hint="choose another with --port, 0 for any free one",
        ) from error


def bind(host: str, port: int) -> socket.socket:
    """Take the port, and refuse connections until ``listen``.

    Raises:
        ConfigurationError: It is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        with opening(host, port):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((host, port))
    except ConfigurationError:
        listener.close()
        raise
    # Accepted connections inherit it; without it a head and its body may be 40 ms apart.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def listen(listener: socket.socket) -> None:
    """Open the port that was taken.

    Raises:
        ConfigurationError: Another process has opened it meanwhile.
    """
    host, port = listener.getsockname()[:2]
    with opening(host, port):
        listener.listen(BACKLOG)


async def serve(
    bundles: Mapping[str, Bundle],
    settings: Settings,
    listener: socket.socket,
    from_kafka: bool = False,
) -> None:
    """Answer until told to end.

    Args:
        bundles: What scores, by name.
        settings: Where the states are, and how long to wait for them.
        listener: Port, opened when the model is warm.
        from_kafka: Whether requests of the topic are answered too.
    """
    memory = any(bundle.memory_fingerprint for bundle in bundles.values())
    deadline = settings.rank_deadline_ms / 1000
    async with StateClient(worker_urls(settings), deadline, memory) as states:
        rankings = Rankings(bundles, states, lambda: time.time_ns() // 1_000_000)
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
        kafka = KafkaPath(settings, rankings) if from_kafka else None
        models = {name: bundle.name for name, bundle in bundles.items()}
        try:
            if kafka is not None:
                await kafka.start()
            listen(listener)
            host, port = listener.getsockname()[:2]
            log.info("listening", url=f"http://{host}:{port}", models=models)
            await _until_told(server, listener, kafka)
        finally:
            if kafka is not None:
                await kafka.stop()
            rankings.close()
    log.info("stopped")


async def _until_told(
    server: uvicorn.Server, listener: socket.socket, kafka: KafkaPath | None
) -> None:
    """Serve, and answer the requests of the topic meanwhile; a bug in either ends both."""
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    tasks = [serving] if kafka is None else [serving, asyncio.create_task(kafka.run())]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if serving not in done:
        server.should_exit = True
        await serving
    for task in tasks[1:]:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    serving.result()


EXAMPLE = """\b
Example:
  uic ranker --bundle DIR
  curl -s localhost:8090/v1/rank -H 'content-type: application/json' -d '
    {"user_id": "u42", "candidates": [{"item_id": "1001"}, {"item_id": "1002"}]}'
"""


@click.command(epilog=EXAMPLE)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Directory of the model bundle, from `uic train`. [UIC_BUNDLE]",
)
@click.option(
    "--model",
    "more",
    multiple=True,
    metavar="NAME=DIR",
    help="One more bundle, for requests that ask for it by `model`; may be repeated.",
)
@click.option(
    "--from-kafka",
    is_flag=True,
    help="Answer the requests of the topic UIC_RANK_REQUESTS_TOPIC too, into UIC_RANKINGS_TOPIC.",
)
@click.option("--host", help="Address to listen on. [UIC_RANKER_HOST, 127.0.0.1]")
@click.option("--port", type=int, help="Port, 0 for any free one. [UIC_RANKER_PORT, 8090]")
@click.option(
    "--worker-urls",
    help="Any interest workers, comma-separated; the owner of each user is asked of them. "
    "[UIC_WORKER_URLS, http://127.0.0.1:8080]",
)
@click.option(
    "--deadline-ms",
    type=int,
    help="Longest wait for a user's state; past it the ranking is made without and says "
    "`degraded: state_timeout`. [UIC_RANK_DEADLINE_MS, 50]",
)
def ranker(
    more: tuple[str, ...],
    from_kafka: bool,
    host: str | None,
    port: int | None,
    deadline_ms: int | None,
    **given: Any,
) -> None:
    """The ranking worker: orders candidates for a user by the user's live state.

    Start an interest worker first (`uic worker`), with the same bundle.

    The answer lists the items best first with their scores, and says how fresh the state is
    (`as_of`, `age_ms`), which model scored, and in `degraded` whether a part of the state was
    missing: memory_mismatch (the worker runs another bundle), memory_not_built, state_timeout,
    state_unavailable, state_mismatch (the worker follows other rules, UIC_STATE_CONFIG),
    state_unreadable. Request fields and examples: http://localhost:8090/schema

    Ranking workers hold no state: run as many as you like behind any HTTP balancer, and let it
    ask /health/ready. Ctrl-C or SIGTERM finishes the requests in flight and ends with status 0.
    """
    configure_logs()
    settings = load_settings(
        ranker_host=host, ranker_port=port, rank_deadline_ms=deadline_ms, **given
    )
    loaded = bundles_of(settings, more)
    # One request has one core: more threads only make the others wait.
    torch.set_num_threads(1)
    with bind(settings.ranker_host, settings.ranker_port) as listener:
        uvloop.run(serve(loaded, settings, listener, from_kafka))
