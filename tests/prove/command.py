"""Command line of the proof: runs the lines of a suite and prints one row a line."""

import os
import secrets
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from prove.rows import Bench, Line, Row, prove_line
from prove.suites import SUITES

COLOURS = {"ok": "green", "missed": "yellow", "FAILED": "red"}


def chosen(lines: list[Line], only: str) -> list[Line]:
    """Return the lines named in ``only`` ("3" or "3,4"), all of them when it is empty."""
    if not only:
        return lines
    wanted = {part.strip() for part in only.split(",")}
    unknown = wanted - {str(line.number) for line in lines}
    if unknown:
        raise click.BadParameter(f"no such line: {', '.join(sorted(unknown))}", param_hint="--only")
    return [line for line in lines if str(line.number) in wanted]


def print_row(console: Console, row: Row, as_json: bool) -> None:
    """Print one row: number, what, figure, target, ok; with ``--json`` the same as JSON."""
    if as_json:
        click.echo(row.as_json())
        return
    colour = COLOURS[row.verdict]
    console.print(
        f"[bold]{row.number:>2}  {row.what}[/]  [{colour}]{row.verdict}[/]  ({row.seconds:.0f} s)",
        highlight=False,
    )
    for check in row.checks:
        verdict = "" if not check.target else "ok" if check.ok else "missed" if check.aim else "NO"
        target = f"{'aim' if check.aim else 'target'}: {check.target}" if check.target else ""
        line = "  ".join(part for part in (check.what, check.figure, target, verdict) if part)
        console.print(f"      {line}", markup=False, highlight=False, soft_wrap=True)
    if row.error:
        console.print(f"      {row.error}", style="red", markup=False, soft_wrap=True)


def run_lines(lines: list[Line], bench_of: dict[int, Bench], as_json: bool) -> list[Row]:
    """Run the lines one after another beside a progress bar on standard error."""
    rows = []
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.completed}/{task.total} lines"))
    bar = Progress(
        *columns,
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
    with bar as progress:
        # Rows printed on the bar's own terminal have to go past the bar.
        shown_on = progress.console if sys.stdout.isatty() else Console(width=200)
        task = progress.add_task("", total=len(lines))
        for line in lines:
            bench = bench_of[line.number]
            bench.say = lambda text, line=line: progress.update(  # type: ignore[misc]
                task, description=f"{line.number}: {text}"
            )
            bench.say(line.title)
            row = prove_line(line, bench)
            rows.append(row)
            print_row(shown_on, row, as_json)
            progress.advance(task)
    return rows


@click.command()
@click.option("--suite", type=click.Choice(sorted(SUITES)), default="main", show_default=True)
@click.option("--only", default="", help="Number of one line, or several separated by commas.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--seed", type=int, help="Seed of every random choice; default: a new one.")
@click.option("--workspace", type=click.Path(path_type=Path), help="Keep all files in here.")
def main(suite: str, only: str, as_json: bool, seed: int | None, workspace: Path | None) -> None:
    """Prove the claims of a suite. Exit status 1 if a line falls short."""
    # Leaving every `with` block stops what was started, also when we are asked to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lines = chosen(SUITES[suite](), only)
    seed = secrets.randbelow(2**31) if seed is None else seed
    data_dir = Path(os.environ.get("UIC_DATA_DIR", "../shared/data")).absolute()
    root = workspace or Path(tempfile.mkdtemp(prefix="uic-prove-"))
    click.echo(f"suite {suite}, seed {seed}, logs from {data_dir}", err=True)
    benches = {}
    for line in lines:
        place = root / f"line-{line.number}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        benches[line.number] = Bench(place, data_dir, seed)
    try:
        rows = run_lines(lines, benches, as_json)
    finally:
        if workspace is None:
            shutil.rmtree(root, ignore_errors=True)
    sys.exit(0 if all(row.passed for row in rows) else 1)
