"""``uic broker``: a real Apache Kafka on this machine, without Docker."""

import click
from rich.console import Console

from interest_center.settings import Settings, load_settings
from streams.broker_process import DEFAULT_PORT, Broker
from streams.kafka_jars import BrokerError

_console = Console()


def own_broker(settings: Settings) -> Broker:
    """Return the broker of ``UIC_HOME``; it reports its progress to the terminal."""
    return Broker(settings.home / "broker", settings.cache_dir, _report)


def _report(line: str) -> None:
    """Show a line about the progress; the terminal keeps the last one only."""
    if _console.is_terminal:
        _console.print(line.ljust(_console.width - 1), end="\r", highlight=False)
    else:
        _console.print(line, highlight=False)


@click.group()
def broker() -> None:
    """Run a real Apache Kafka on this machine: one node, KRaft, Java 17 or newer.

    Its jars are fetched once by Maven and kept in UIC_CACHE_DIR; data, log and port are in
    UIC_HOME/broker. To use a cluster that you have, set UIC_KAFKA_BOOTSTRAP_SERVERS (and
    UIC_KAFKA_SECURITY_PROTOCOL, UIC_KAFKA_SASL_..., UIC_KAFKA_SSL_...) instead.
    """


@broker.command()
@click.option(
    "--port",
    type=int,
    help="Port, 0: any free one; default: the last one, else 9092. A taken one is replaced.",
)
def start(port: int | None) -> None:
    """Start the broker; returns when it has taken and returned a record."""
    settings = load_settings()
    if settings.kafka_bootstrap_servers:
        raise BrokerError(
            f"UIC_KAFKA_BOOTSTRAP_SERVERS names a cluster: {settings.kafka_bootstrap_servers}",
            hint="unset it to use a broker on this machine",
        )
    own = own_broker(settings)
    before, last = own.running(), own.address()
    address = own.start(port)
    verb = "started" if before is None else "is running"
    _console.print(f"Kafka {verb} at {address.bootstrap_servers} (pid {address.pid})")
    wanted = port if port is not None else last.port if last else DEFAULT_PORT
    if wanted not in {0, address.port}:
        why = "was taken" if before is None else "is not used: the broker ran already"
        _console.print(
            f"port {wanted} {why}; uic finds the broker by itself, other clients and running "
            f"workers need bootstrap_servers={address.bootstrap_servers}",
            soft_wrap=True,
        )
    _console.print(f"log: {own.log}", soft_wrap=True)


@broker.command()
def stop() -> None:
    """Stop the broker in order; its data stay."""
    stopped = own_broker(load_settings()).stop()
    _console.print("Kafka stopped" if stopped else "Kafka was not running")


@broker.command()
def status() -> None:
    """Show whether the broker runs; status 1 when it does not."""
    settings = load_settings()
    own = own_broker(settings)
    address = own.running()
    if address is None:
        _console.print("Kafka is not running; start it with `uic broker start`")
        raise SystemExit(1)
    _console.print(
        f"Kafka runs at {address.bootstrap_servers} (pid {address.pid}, cluster "
        f"{address.cluster_id})\ndata and log: {own.directory}",
        soft_wrap=True,
    )


@broker.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    """Stop the broker and delete all its events; the next start is a new cluster."""
    own = own_broker(load_settings())
    if not yes:
        click.confirm(f"delete every event of the broker in {own.directory}? (--yes: no question)",
                      abort=True)  # fmt: skip
    own.wipe()
    _console.print(
        "the broker's data are deleted; the worker notices the new log and refuses it: start it "
        "afresh with `uic worker --fresh`",
        soft_wrap=True,
    )
