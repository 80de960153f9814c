"""`uic worker`, and ``faust -A streams.worker:app worker``: the interest worker as a process."""

import asyncio
import logging
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import click
import faust
import uvloop

from interest_center.core.errors import ConfigurationError, InterestCenterError
from interest_center.logs import show_our_logs
from interest_center.settings import Settings, load_settings, process_settings
from streams.interest_app import InterestApp, build_app
from streams.state_lock import StateLock


def __getattr__(name: str) -> Any:
    """Build ``app`` from the environment when Faust's command line asks for it."""
    if name != "app":
        raise AttributeError(name)
    configure_logs()
    return globals().setdefault("app", build_app(process_settings()))


class OperatorErrors(logging.Filter):
    """Keeps Faust's words about errors that stop a worker out of the log; ours are enough."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop a record about one of our own errors, and about what was cancelled in the end."""
        told = [record.exc_info[1]] if record.exc_info else []
        if isinstance(record.args, tuple):
            told += record.args  # type: ignore[arg-type]  # any objects
        if any(isinstance(one, InterestCenterError | asyncio.CancelledError) for one in told):
            return False
        text = str(record.msg).rstrip()
        return "We experienced a crash" not in text and not text.endswith(".CancelledError")


class OncePerWhile(logging.Filter):
    """Lets one record of a kind through in a while: without a broker there are 100 a second.

    Args:
        seconds: The while.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        super().__init__()
        self._seconds = seconds
        self._told: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop what was said a moment ago by a Kafka client; others may speak."""
        if not record.name.startswith(("aiokafka", "kafka")):
            return True
        kind = (record.name, str(record.msg))
        now = time.monotonic()
        if now - self._told.get(kind, -self._seconds) < self._seconds:
            return False
        self._told[kind] = now
        return True


def configure_logs() -> None:
    """Send our log lines and the warnings of others to standard error."""
    show_our_logs()
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(OperatorErrors())
    handler.addFilter(OncePerWhile())
    handler.setFormatter(logging.Formatter("%(asctime)s [%(levelname)s] %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # Faust's command line brings handlers of its own; these two tell of what stops the worker.
    for name in ("faust.worker", "streams.interest_app"):
        logging.getLogger(name).addFilter(OperatorErrors())


def run(app: InterestApp) -> None:
    """Run a worker until a signal stops it.

    Raises:
        InterestCenterError: A mistake of the operator stopped it.
        SystemExit: With status 1, when a bug of ours did.
    """
    worker = faust.Worker(app, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except (SystemExit, asyncio.CancelledError) as end:
        reason = app.fatal_error or app.crash_reason or worker.crash_reason
        if isinstance(reason, InterestCenterError):
            raise reason from None
        if reason is not None:
            traceback.print_exception(reason)
        if reason is not None or isinstance(end, asyncio.CancelledError) or end.code:
            sys.exit(1)


def set_aside(settings: Settings) -> Path | None:
    """Rename the state directory, so that the worker starts from snapshot or topic.

    Returns:
        The new name, None when there was nothing to rename.

    Raises:
        ConfigurationError: It cannot be renamed, or a running worker uses it.
    """
    states = settings.states
    if not states.exists():
        return None
    lock = StateLock(states)
    aside = states.with_name(f"{states.name}.set-aside-{time.strftime('%Y%m%dT%H%M%S')}")
    try:
        states.rename(aside)
    except OSError as error:
        raise ConfigurationError(
            f"cannot set {states} aside: {error.strerror}", hint="move it away by hand"
        ) from error
    finally:
        lock.release()
    return aside


@click.command()
@click.option("--bootstrap", help="Kafka's host:port,...  [UIC_KAFKA_BOOTSTRAP_SERVERS]")
@click.option("--host", help="Address to serve HTTP at.  [UIC_WORKER_HOST]")
@click.option("--port", type=int, help="Port of it; 0 for any free one.  [UIC_WORKER_PORT]")
@click.option(
    "--advertised-url", help="How other workers reach this one.  [UIC_WORKER_ADVERTISED_URL]"
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Model bundle whose memory to keep.  [UIC_BUNDLE]",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    help="Where the states live; one directory a worker.  [UIC_STATE_DIR]",
)
@click.option("--snapshot-url", help="Where snapshots go, or `off`.  [UIC_SNAPSHOT_URL]")
@click.option("--instance-id", help="Static member of the group.  [UIC_INSTANCE_ID]")
@click.option("--max-events-per-second", type=int, help="Throttle.  [UIC_MAX_EVENTS_PER_SECOND]")
@click.option(
    "--accept-truncated-history",
    is_flag=True,
    default=None,
    help="Go on although the topic no longer holds the next event needed; the lost part is "
    "reported as `history_from` in every answer.",
)
@click.option(
    "--fresh",
    is_flag=True,
    help="Set the state directory aside and start from a snapshot of this topic, else from its "
    "beginning: after the topic was recreated, for example.",
)
def worker(
    fresh: bool, bootstrap: str | None, host: str | None, port: int | None, **given: Any
) -> None:
    """Keep the interest state of every user, from the behavior events in Kafka.

    Reads the events topic, keeps behaviors, sub-sequences and memories in RocksDB, and answers
    for them over HTTP: http://HOST:PORT/schema shows the queries, /metrics feeds Prometheus.

    Start more workers, each with its own --port and --state-dir, and they share the partitions;
    any of them answers for any user. SIGTERM and Ctrl-C end a worker cleanly; kill -9 loses
    nothing and doubles nothing.

    Without a state of its own a worker starts from the newest snapshot, without one from the
    beginning of the topic. While a partition catches up its users are answered with 503.
    """
    configure_logs()
    settings = load_settings(
        kafka_bootstrap_servers=bootstrap, worker_host=host, worker_port=port, **given
    )
    if fresh:
        aside = set_aside(settings)
        click.echo(f"old states are now in {aside}" if aside else "there were no old states")
    uvloop.install()
    run(build_app(settings))
