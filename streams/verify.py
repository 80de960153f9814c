"""``uic verify``: states recomputed from the log by plain code, compared with what workers say."""

import asyncio
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from interest_center.settings import load_settings
from streams.offset_bars import offset_bars
from streams.reference.memories import memory_fingerprint, memory_reference
from streams.verification import Selection, Verification
from streams.verification_report import Report
from streams.verification_starts import history_of_file, opened
from streams.worker_tools import state_rules


@click.command()
@click.option("--user", "users", multiple=True, metavar="ID", help="This user; may be repeated.")
@click.option("--sample", type=click.IntRange(0), default=0, help="So many users, at random.")
@click.option("--seed", type=int, default=0, help="Of the draw.")
@click.option("--bundle", type=click.Path(path_type=Path),
              help="Bundle whose memories the workers keep.  [UIC_BUNDLE]")  # fmt: skip
@click.option("--state-config", type=click.Path(path_type=Path),
              help="Rules of the states, without a bundle.  [UIC_STATE_CONFIG]")  # fmt: skip
@click.option("--no-memory", is_flag=True, help="Do not compare long-term memories.")
@click.option("--from-snapshot", "snapshots", multiple=True, metavar="ID",
              help="Begin at this snapshot, see `uic snapshot list`; one a partition.")  # fmt: skip
@click.option("--events", "path", type=click.Path(path_type=Path), metavar="FILE",
              help="The whole history is in this table, as `uic produce` takes it.")  # fmt: skip
@click.option("--snapshot-url", help="Where the snapshots are.  [UIC_SNAPSHOT_URL]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(as_json: bool, **given: Any) -> None:
    """Recompute states from the events topic and compare them with what the workers say.

    Plain code that shares nothing with the engine walks the events of each user (all users by
    default) up to the offset that the worker's answer states, while the stream goes on. It
    compares profile, recent behaviors, remembered ids, sub-sequences and memory; of all users also
    the counters and the dead letters.

    Where the topic no longer holds the whole history, begin at a snapshot of each partition
    (--from-snapshot); what came before it is then taken as it says.

    The exit status is 0 when nothing differs, 1 when something does, 2 when it cannot be told.
    """
    started = time.monotonic()
    report = _verified(**given)
    seconds = time.monotonic() - started
    if as_json:
        click.echo(json.dumps(report_as_json(report, seconds)))
    else:
        _show(report, seconds)
    sys.exit(0 if report.clean else 1)


def _verified(
    snapshots: tuple[str, ...], path: Path | None, no_memory: bool, **given: Any
) -> Report:
    """Verify as the options say."""
    selection = Selection(given.pop("users"), given.pop("sample"), given.pop("seed"), not no_memory)
    settings = load_settings(**given)
    rules = state_rules(settings)
    memory = None
    if settings.bundle is not None and not no_memory:
        memory = memory_reference(settings.bundle)
    if path is not None and (snapshots or not selection.is_all):
        raise click.UsageError("--events takes all users of the file, and no snapshot")
    with offset_bars() as bars, ExitStack() as stack:
        task = bars.add_task("asking the workers", total=None)

        def progress(what: str, done: int, total: int) -> None:
            bars.update(task, description=what, completed=done, total=total)

        starts = {}
        if snapshots:
            fingerprint = 0 if settings.bundle is None else memory_fingerprint(settings.bundle)
            starts = stack.enter_context(opened(settings, rules, snapshots, fingerprint))
        run = Verification(settings, rules, memory, selection, progress, starts)
        if path is None:
            return asyncio.run(run.run())
        return asyncio.run(run.run_on_file(history_of_file(path, rules)))


def report_as_json(report: Report, seconds: float) -> dict[str, Any]:
    """Return a report in JSON's types."""
    compared = report.comparison
    return {
        "clean": report.clean,
        "users": compared.users,
        "users_different": compared.n_different,
        "events": compared.events,
        "records": report.records,
        "subsequences": compared.subsequences,
        "behaviors": compared.behaviors,
        "memories": compared.memories,
        "worst_memory_difference": compared.worst_memory,
        "counters_and_dead_letters": report.checked_all,
        "other_differences": report.n_other,
        "differences": [*compared.differences, *report.other],
        "positions": report.positions,
        "seconds": round(seconds, 1),
    }


def _show(report: Report, seconds: float) -> None:
    """Print what was compared and what differs."""
    console = Console()
    compared = report.comparison
    table = Table(box=None, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    for count, what in (
        (compared.users, "users"),
        (compared.events, "applied events of them"),
        (compared.behaviors, "behaviors, of rings and sub-sequences"),
        (compared.subsequences, "sub-sequences"),
        (compared.memories, f"memories, worst difference {compared.worst_memory:.1e}"),
        (report.records, "records of the log"),
    ):
        table.add_row(f"{count:,}", what)
    console.print(table)
    if report.checked_all:
        console.print("counters and dead letters compared too")
    for difference in (*compared.differences, *report.other):
        console.print(f"  {difference}", style="red", markup=False)
    told = len(compared.differences) + len(report.other)
    more = compared.n_different + report.n_other - told
    if more:
        console.print(f"  and {more:,} more", style="red")
    if not compared.users:
        console.print("there was no user to compare", style="red")
    verdict = "nothing differs" if report.clean else f"{compared.n_different:,} users differ"
    console.print(f"{verdict} ({seconds:.1f} s)", style="green" if report.clean else "red")
