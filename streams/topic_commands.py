"""``uic topics``: make, describe, and copy the events into one with more partitions."""

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from interest_center.settings import load_settings
from streams.rekey import rekey
from streams.topics import create_topics, describe_topics, plans, ranking_plans


@click.group()
def topics() -> None:
    """Create, describe and re-key the topics: events and dead letters.

    UIC_EVENTS_TOPIC, UIC_DEAD_LETTERS_TOPIC, UIC_PARTITIONS, UIC_REPLICATION_FACTOR and
    UIC_RETENTION_MS say which. The number of partitions is chosen once: it decides where a user
    lives and how many workers can share the work.
    """


topics.add_command(rekey)


@topics.command()
@click.option("--ranking", is_flag=True, help="Those of rankings over Kafka too.")
def create(ranking: bool) -> None:
    """Create the topics that are missing; refuse one of another form."""
    settings = load_settings()
    wanted = [*plans(settings), *(ranking_plans(settings) if ranking else ())]
    made = create_topics(settings, wanted)
    for plan in wanted:
        state = "created" if plan.name in made else "is there"
        click.echo(f"{plan.name}: {state}, {plan.partitions} partitions")


@topics.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def describe(as_json: bool) -> None:
    """Show the topics: partitions, offsets, retention, and whether they are as planned."""
    found = describe_topics(load_settings())
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for topic in found:
        Console().print(_table(topic))


def _table(topic: dict[str, Any]) -> Table:
    """Draw one topic."""
    table = Table("topic", topic["topic"])
    if not topic["exists"]:
        table.add_row("missing", "create it with `uic topics create`")
        return table
    retention = topic["retention_ms"]
    offsets = [
        f"{number}: {start:,} - {end:,}" for number, (start, end) in enumerate(topic["offsets"])
    ]
    table.add_row("id", topic["topic_id"])
    table.add_row("partitions", str(topic["partitions"]))
    table.add_row("offsets", "\n".join(offsets))
    table.add_row("records", f"{sum(end - start for start, end in topic['offsets']):,}")
    table.add_row("retention", "for ever" if retention < 0 else f"{retention / 3_600_000:g} h")
    table.add_row("timestamps", topic["timestamp_type"])
    table.add_row("as planned", "yes" if topic["as_planned"] else "no: see `uic topics create`")
    return table
