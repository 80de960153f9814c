"""``uic lag``: how far the states are behind the events, live in the terminal."""

import json
import time
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from interest_center.settings import Settings, load_settings
from streams.lag_probe import Lag, LagProbe, PartitionLag, Position
from streams.topics import KafkaUnreachableError

AWAY = (
    "no worker answers for {partitions} at {urls}: start one with `uic worker`, or name it by "
    "UIC_WORKER_URLS; until then the offsets that the group committed are shown, which may be "
    "behind the state"
)


@click.command()
@click.option("--once", is_flag=True, help="Show it once and end.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a measurement.")
@click.option("--interval", default=1.0, type=click.FloatRange(0.1), help="Seconds between looks.")
def lag(once: bool, as_json: bool, interval: float) -> None:
    """Show how far the states are behind the events; Ctrl-C ends it.

    Per partition: records not yet applied, and the age of the first of them, both measured
    outside the worker (ends and append times from Kafka, positions from UIC_WORKER_URLS). DURABLE
    is what a crash now would replay.
    """
    settings = load_settings()
    try:
        if once or as_json:
            _print_lags(settings, interval, once, as_json)
        else:
            _show_live(settings, interval)
    except KeyboardInterrupt:
        return


def lag_as_json(measured: Lag) -> dict[str, Any]:
    """Return a measurement in JSON's types."""
    return {
        "at_ms": round(measured.at_seconds * 1000),
        "lag_records": measured.records,
        "lag_seconds": measured.seconds,
        "without_worker": measured.without_worker,
        "partitions": [asdict(one) for one in measured.partitions],
    }


def _print_lags(settings: Settings, interval: float, once: bool, as_json: bool) -> None:
    """Print one measurement after the other, or a single one."""
    console = Console()
    with LagProbe(settings) as probe:
        while True:
            measured = probe.measure()
            if as_json:
                click.echo(json.dumps(lag_as_json(measured)))
            else:
                console.print(lag_view(measured, None, settings))
            if once:
                return
            time.sleep(interval)


def _show_live(settings: Settings, interval: float) -> None:
    """Keep a table up to date; a broker or worker that goes away is said, and waited for."""
    with LagProbe(settings) as probe, Live(auto_refresh=False) as live:
        before: Lag | None = None
        while True:
            try:
                measured = probe.measure()
            except KafkaUnreachableError as error:
                live.update(Text(f"{error}; trying again", style="red"), refresh=True)
            else:
                live.update(lag_view(measured, before, settings), refresh=True)
                before = measured
            time.sleep(interval)


def lag_view(measured: Lag, before: Lag | None, settings: Settings) -> RenderableType:
    """Draw a measurement, with the rate since the one before."""
    rate = ""
    if before is not None and measured.at_seconds > before.at_seconds:
        moved = (measured.applied - before.applied) / (measured.at_seconds - before.at_seconds)
        rate = f", {max(0.0, moved):,.0f} offsets/s applied"
    table = Table(title=f"{settings.events_topic} at {settings.bootstrap_servers}{rate}")
    table.add_column("partition", justify="right")
    for name in ("end", "applied", "durable", "lag records", "lag seconds"):
        table.add_column(name, justify="right")
    table.add_column("state")
    for one in measured.partitions:
        table.add_row(*_row(one))
    if len(measured.partitions) > 1:
        table.add_section()
        total = [_number(measured.records, ",d"), _number(measured.seconds, ".1f")]
        table.add_row("all", "", "", "", *total, "", style="bold")
    if not measured.without_worker:
        return table
    names = "partitions " + ", ".join(map(str, measured.without_worker))
    away = AWAY.format(partitions=names, urls=settings.worker_urls)
    return Group(table, Text(away, style="yellow"))


def _row(one: PartitionLag) -> list[str]:
    """Return the cells of one partition."""
    position = one.position
    return [
        str(one.partition),
        f"{one.end:,}",
        _number(position.applied if position else None, ",d"),
        _number(position.durable if position else None, ",d"),
        _number(one.records, ",d"),
        _number(one.seconds, ".1f"),
        _state(position),
    ]


def _state(position: Position | None) -> str:
    """Return what is known about the partition's worker, in a word."""
    if position is None:
        return "unknown"
    return position.phase or ("ready" if position.source == "worker" else "committed")


def _number(value: float | None, form: str) -> str:
    """Format a number; a question mark when nobody knows it."""
    return "?" if value is None else format(value, form)
