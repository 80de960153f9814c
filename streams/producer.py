"""``uic produce``: behavior events from a file or the standard input into Kafka, resumable."""

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from interest_center.core.errors import ConfigurationError
from interest_center.settings import load_settings
from streams.event_forms import FORMS
from streams.event_tables import FORMATS
from streams.input_files import STDIN
from streams.production import Outcome, ProduceOptions, Production
from streams.real_logs import REAL_LOGS
from streams.row_events import FIELDS, TIME_UNITS, RowMapping

INTERRUPTED = 130


def _pairs(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> Any:
    """Read FIELD=VALUE options."""
    pairs: dict[str, str] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not value or name not in FIELDS:
            raise click.BadParameter(f"{text!r} is not FIELD=..., FIELD one of {', '.join(FIELDS)}")
        pairs[name] = value
    return pairs


EXAMPLES = """\b
Examples:
  uic produce events.jsonl
  uic produce clicks.csv --map user_id=visitor --set event_type=click --time-unit s
  uic produce --from taobao UserBehavior.csv --rate 2000
  tail -f events.jsonl | uic produce
"""


@click.command(epilog=EXAMPLES)
@click.argument("path", metavar="[FILE]", default="-", type=click.Path(path_type=Path))
@click.option("--format", "table_format", type=click.Choice(FORMATS), help="Default: by the name.")
@click.option("--from", "real_log", type=click.Choice(REAL_LOGS), help="A public log.")
@click.option("--map", "columns", metavar="FIELD=COLUMN", multiple=True, callback=_pairs,
              help="Column of a field, when it has another name.")  # fmt: skip
@click.option("--set", "constants", metavar="FIELD=VALUE", multiple=True, callback=_pairs,
              help="The same value for all rows without one.")  # fmt: skip
@click.option("--time-unit", type=click.Choice(TIME_UNITS), default="ms", show_default=True,
              help="Unit of event_time_ms in the input.")  # fmt: skip
@click.option("--as", "form", type=click.Choice(list(FORMS)), default="plain", show_default=True,
              help="Form of the events in Kafka.")  # fmt: skip
@click.option("--rate", type=click.FloatRange(min=0), default=0.0, help="Most events a second.")
@click.option("--resume-file", type=click.Path(path_type=Path),
              help="Where the progress is kept. Default: beside the input.")  # fmt: skip
@click.option("--rejects-file", type=click.Path(path_type=Path),
              help="Where bad rows are kept. Default: beside the input.")  # fmt: skip
@click.option("--restart", is_flag=True, help="Send all rows again from the first.")
def produce(
    path: Path, columns: dict[str, str], constants: dict[str, str], time_unit: str, **given: Any
) -> None:
    """Push behavior events to Kafka from JSON lines, CSV (both also .gz), parquet or stdin.

    An event has user_id, item_id, event_type and event_time_ms, and may have event_id,
    category_id, page, trigger_item_id and price. Rows without event_id get one of their content
    and row number. Bad rows are kept in FILE.rejects.jsonl, and the exit status is then 1.

    Interrupted (also by kill -9), the same command goes on where it was: the progress is kept
    beside the input, in FILE.uic-progress.json; of the standard input only with --resume-file,
    and it must then bring the same rows again.
    """
    mapping = RowMapping(columns, constants, time_unit)
    options = ProduceOptions(path, mapping=mapping, **given)
    if options.real_log and (mapping != RowMapping() or options.table_format):
        raise ConfigurationError("--from knows the columns of its log, leave out the other options")
    if path == STDIN and sys.stdin.isatty():
        raise click.UsageError("name a file, or pipe events in")
    console = Console(stderr=True)
    production = Production(options, load_settings(), console)
    if production.progress.done:
        click.echo(
            f"{options.name} was sent already: {production.progress.rows:,} rows; "
            "--restart sends it again"
        )
    else:
        _tell(production, production.run())
    if production.progress.rejected:
        click.echo(f"rejected rows: {production.progress.rejected:,}, in {production.rejects.path}")
        sys.exit(1)


def _tell(production: Production, outcome: Outcome) -> None:
    """Say what was sent, and how to go on after an interruption."""
    rate = outcome.sent / outcome.seconds if outcome.seconds else 0.0
    click.echo(f"sent {outcome.sent:,} events in {outcome.seconds:.1f} s ({rate:,.0f} events/s)")
    if outcome.interrupted:
        place = production.progress_file.path
        click.echo(
            f"interrupted after row {outcome.rows:,}; the same command goes on there ({place})"
            if place is not None
            else f"interrupted after row {outcome.rows:,}; without --resume-file the next run "
            "starts at the first row"
        )
        sys.exit(INTERRUPTED)
