"""``uic state``: what the center knows of a user, in the terminal."""

import datetime
import json
from typing import Any

import click
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from interest_center.client import StateReader
from interest_center.settings import load_settings

SHOWN_BEHAVIORS = 15
SHOWN_CATEGORIES = 12
BAR_CELLS = 24

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@click.command()
@click.argument("user_id", metavar="USER")
@click.option("--category", "category_id", help="Show the sub-sequence of this category.")
@click.option("--url", "urls", multiple=True, help="A worker to ask; default: UIC_WORKER_URLS.")
@click.option("--wait", default=5.0, show_default=True, type=click.FloatRange(min=0),
              help="Seconds to wait for a worker that recovers.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the answer of the API as it is.")
def state(
    user_id: str, category_id: str | None, urls: tuple[str, ...], wait: float, as_json: bool
) -> None:
    """Show the interest state of a user: behaviors, categories, memory, and how fresh it is.

    A user without events has an empty state.
    """
    reader = StateReader(urls or load_settings().worker_urls.split(","), wait)
    if category_id is None:
        answer = reader.interest(user_id)
    else:
        answer = reader.category(user_id, category_id)
    if as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    shown = interest_page(answer) if category_id is None else category_page(answer)
    Console().print(shown)


def interest_page(answer: dict[str, Any]) -> RenderableType:
    """Lay out an interest state."""
    counts = ", ".join(f"{n:,} {name}" for name, n in answer["counts"].items() if n)
    parts: list[RenderableType] = [
        Text.assemble(
            ("user ", "bold"), (answer["user_id"], "bold cyan"),
            f"   events: {answer['event_count']:,}" + (f" ({counts})" if counts else ""),
        ),
        freshness_line(answer["freshness"]),
    ]  # fmt: skip
    if not answer["event_count"]:
        return Group(*parts, Text("no events of this user: the state is empty"))
    parts.append(behaviors_table(answer["behaviors"], SHOWN_BEHAVIORS, "recent behaviors"))
    if answer["categories"]:
        parts.append(categories_table(answer["categories"]))
    parts.append(memory_table(answer["memory"]))
    return Group(*parts)


def category_page(answer: dict[str, Any]) -> RenderableType:
    """Lay out the behaviors of a user in one category."""
    behaviors = answer["behaviors"]
    title = f"{answer['user_id']} in category {answer['category_id']}"
    return Group(
        freshness_line(answer["freshness"]), behaviors_table(behaviors, len(behaviors), title)
    )


def freshness_line(freshness: dict[str, Any]) -> Text:
    """Say up to when an answer holds."""
    if freshness["as_of_ms"] is None:
        when = "no event yet"
    else:
        when = f"as of {moment(freshness['as_of_ms'])}, {duration(freshness['age_ms'])} ago"
    line = (
        f"{when}   partition {freshness['partition']}, every event before offset "
        f"{freshness['watermark']:,}"
    )
    if freshness["model"]:
        line += f"   model {freshness['model']}"
    if freshness["history_from"]:
        line += f"   the log began at offset {freshness['history_from']:,}"
    return Text(line, style="dim")


def behaviors_table(behaviors: list[dict[str, Any]], most: int, title: str) -> Table:
    """Lay out behaviors, newest first."""
    hidden = len(behaviors) - most
    table = Table(title=Text(f"{title} ({len(behaviors)})"), title_justify="left")
    for column in ("time (UTC)", "what", "item", "category"):
        table.add_column(column)
    for behavior in behaviors[:most]:
        table.add_row(
            moment(behavior["event_time_ms"]),
            Text(behavior["event_type"]),
            Text(behavior["item_id"]),
            Text(behavior["category_id"] or "-"),
        )
    if hidden > 0:
        table.caption = f"and {hidden} older; --json shows all"
    return table


def categories_table(categories: list[dict[str, Any]]) -> Table:
    """Lay out the categories with a sub-sequence, latest first."""
    latest = sorted(categories, key=lambda c: c["last_event_time_ms"], reverse=True)
    table = Table(title=f"sub-sequences by category ({len(latest)})", title_justify="left")
    table.add_column("category")
    table.add_column("behaviors", justify="right")
    table.add_column("last (UTC)")
    for category in latest[:SHOWN_CATEGORIES]:
        table.add_row(
            Text(category["category_id"]),
            str(category.get("size", "-")),
            moment(category["last_event_time_ms"]),
        )
    hidden = len(latest) - SHOWN_CATEGORIES
    table.caption = (
        f"and {hidden} more; --category C shows one" if hidden > 0 else "--category C shows one"
    )
    return table


def memory_table(memory: dict[str, Any] | None) -> RenderableType:
    """Lay out the slots of the long-term memory: how long each vector is, how much it was used."""
    if memory is None:
        return Text("no long-term memory: no bundle that keeps one, or other weights wrote it")
    table = Table(
        title=f"long-term memory ({memory['model']}, {memory['fingerprint']})", title_justify="left"
    )
    table.add_column("slot", justify="right")
    table.add_column("norm", justify="right")
    table.add_column("")
    table.add_column("use", justify="right")
    longest = max(memory["slot_norms"], default=0.0) or 1.0
    uses = memory["slot_use"] or [0.0] * len(memory["slot_norms"])
    for slot, (norm, use) in enumerate(zip(memory["slot_norms"], uses, strict=True)):
        bar = "█" * round(BAR_CELLS * norm / longest)
        table.add_row(str(slot), f"{norm:.3f}", Text(bar, style="cyan"), f"{use:.3f}")
    return table


def moment(time_ms: int) -> str:
    """Return a time in UTC."""
    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).strftime(
        "%Y-%m-%d %H:%M:%S"
    )


def duration(age_ms: int) -> str:
    """Return a duration in the largest unit that fits."""
    if age_ms < 1000:
        return f"{age_ms} ms"
    seconds = age_ms / 1000
    for name, size in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.1f} {name}"
    return f"{age_ms} ms"
