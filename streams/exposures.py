"""``uic exposures``: the exposures topic and the events topic as tables to train on."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from interest_center.core.errors import ConfigurationError
from interest_center.core.event_decoder import EventDecoder
from interest_center.core.events import EventRules
from interest_center.settings import Settings, load_settings
from models.durations import parse_duration
from models.tables import event_types_in
from streams.exposure_tables import EventRows, Outcome, ShownRows
from streams.offset_bars import offset_bars
from streams.topic_reading import TopicReading
from streams.verified_logs import Progress as ReadProgress
from streams.worker_tools import state_rules

EPILOG = """\b
Example:
  UIC_EXPOSURES_TOPIC=uic-exposures uic exposures --out tables
  uic train --events tables/events.parquet --samples tables/samples.parquet --out bundle
"""


@click.command(epilog=EPILOG)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True,
    help="Directory for events.parquet and samples.parquet.",
)  # fmt: skip
@click.option(
    "--positives", default="click", show_default=True, metavar="TYPES",
    help="Event types by which a shown item was chosen, with commas: click,purchase.",
)  # fmt: skip
@click.option(
    "--within", default="1h", show_default=True, metavar="AGE",
    help="How soon after it was shown. Items shown less than this long ago are left out: what "
    "comes of them is not known yet.",
)  # fmt: skip
@click.option("--topic", help="Topic of what was shown.  [UIC_EXPOSURES_TOPIC]")
@click.option("--state-config", type=click.Path(path_type=Path),
              help="Rules of the states; without, UIC_BUNDLE's.  [UIC_STATE_CONFIG]")  # fmt: skip
def exposures(
    out: Path, positives: str, within: str, topic: str | None, state_config: Path | None
) -> None:
    """Make tables to train on out of what was shown and what came of it.

    Ranking workers log every answer to a topic (UIC_EXPOSURES_TOPIC). Here each shown item becomes
    a sample, its label whether the user chose it, and all events of the events topic become the
    event table. A sample carries the watermark of the state that scored it and an event its
    offset, so that a training shows the model exactly what the scores have seen, late events
    included.

    Only answers from a whole state become samples; how many others there are is said, and why.
    Both topics must be those that the ranking workers and their interest workers used: offsets of
    another events topic say nothing.
    """
    settings = load_settings(exposures_topic=topic, state_config=state_config)
    if not settings.exposures_topic:
        raise ConfigurationError(
            "no topic of exposures is named",
            hint="set UIC_EXPOSURES_TOPIC for ranking workers and for this command, or --topic",
        )
    rules = state_rules(settings)
    outcome = Outcome(
        _positives(positives, rules.event_types),
        parse_duration(within),
        time.time_ns() // 1_000_000,
    )
    out.mkdir(parents=True, exist_ok=True)
    with _bars() as on_read:
        shown, events = asyncio.run(read(settings, rules.event_types, on_read))
    samples, table = shown.samples(events, outcome), events.frame()
    click.echo(f"{shown.n_exposures:,} exposures and {len(table):,} events read")
    for reason, n in shown.left_out.items():
        if n:
            click.echo(f"left out: {n:,} {reason}")
    if events.n_refused:
        click.echo(f"left out: {events.n_refused:,} records that are no events (dead letters)")
    for partition in (number for number, start in events.starts.items() if start):
        click.echo(
            f"partition {partition} of {settings.events_topic} no longer holds its first events: "
            "samples of its users lack older events that the scores have seen, and erasures from "
            "then are not known"
        )
    if samples.is_empty():
        raise ConfigurationError(
            "no exposure is left to train on",
            hint="the lines above say why; items must have been shown longer ago than --within",
        )
    paths = out / "events.parquet", out / "samples.parquet"
    for frame, path in zip((table, samples), paths, strict=True):
        frame.write_parquet(path)
    share = samples["label"].sum() / len(samples)
    click.echo(f"{len(samples):,} shown items, {share:.2%} of them chosen")
    rules_named = f" --state-config {state_config}" if state_config else ""
    click.echo(
        f"next: uic train --events {paths[0]} --samples {paths[1]}{rules_named} --out bundle"
    )
    if settings.bundle is not None and settings.state_config is None:
        click.echo(f"  with --state-config, if {settings.bundle} was trained with one")


def _positives(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return event types as written with commas.

    Raises:
        ConfigurationError: There is none, or one of another name.
    """
    types = event_types_in(text)
    unknown = [name for name in types if name not in known]
    if unknown or not types:
        raise ConfigurationError(
            f"--positives names {', '.join(unknown) or 'no event type'}",
            hint=f"known: {', '.join(known)}",
        )
    return types


@contextmanager
def _bars() -> Iterator[ReadProgress]:
    """Show on standard error how much is read."""
    with offset_bars() as bars:
        task = bars.add_task("reading", total=None)
        yield lambda what, done, total: bars.update(
            task, description=what, completed=done, total=total
        )


async def _partitions_shown(topic: TopicReading) -> list[int]:
    try:
        return await topic.partitions()
    except ConfigurationError as error:
        raise ConfigurationError(
            error.message,
            hint="is UIC_EXPOSURES_TOPIC that of the ranking workers? "
            "`uic topics create --ranking` makes it",
        ) from error


async def read(
    settings: Settings, event_types: tuple[str, ...], on_read: ReadProgress
) -> tuple[ShownRows, EventRows]:
    """Read both topics to their ends of now, the exposures first: no event they saw is missing.

    Args:
        settings: Connection and topics.
        event_types: Of the states.
        on_read: Told how far it is.

    Returns:
        What was shown, and the events.

    Raises:
        ConfigurationError: A topic is not there.
    """
    shown = ShownRows()
    async with TopicReading(settings, settings.exposures_topic) as topic:
        for partition in await _partitions_shown(topic):
            start, end = await topic.bounds(partition)
            async for records in topic.records(partition, start, end):
                shown.add(records)
                on_read(f"exposures {partition}", records[-1].offset + 1 - start, end - start)
    async with TopicReading(settings, settings.events_topic) as topic:
        partitions = await topic.partitions()
        decoder = EventDecoder(EventRules(settings.events_topic, len(partitions), event_types))
        events = EventRows(decoder)
        for partition in partitions:
            start, end = await topic.bounds(partition)
            events.starts[partition], events.ends[partition] = start, end
            async for records in topic.records(partition, start, end):
                events.add(partition, records)
                on_read(f"events {partition}", records[-1].offset + 1 - start, end - start)
    return shown, events
