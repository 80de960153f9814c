"""``uic bench``: measurements on this machine, as a table or as JSON."""

import json
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from interest_center.settings import load_settings
from streams.bench.contest import Contest, Peer, check_peers
from streams.bench.freshness import (
    LONGEST_PROBE_SECONDS,
    WARM_UP_SECONDS,
    measure_freshness,
)
from streams.bench.limits import measure_limits
from streams.bench.measuring import Measured
from streams.bench.workload import Distribution, Work, Workload
from streams.interruption import end_by_interrupt

OURS = "interest center"
#: Shorter runs say little: a checkpoint comes once a second.
LEAST_SECONDS = 60.0
#: What the peers reach on two cores (events a second, by distribution and users), measured before;
#: with much less, something is wrong with the machine and the ratios mean nothing.
USUAL_RATES = {
    ("faust", "uniform", 100_000): 2_600.0,
    ("faust", "zipf", 100_000): 2_600.0,
    ("quix", "uniform", 100_000): 25_000.0,
    ("quix", "zipf", 100_000): 35_000.0,
    ("quix", "uniform", 1_000_000): 18_000.0,
}
LEAST_SHARE = 0.8

Results = dict[str, list[Measured]]


@click.group()
def bench() -> None:
    """Measure this machine: the engine with a Kafka of its own, and its peers on the same work."""


def _workload(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say what is sent and what is kept of it."""
    options = (
        click.option("--work", type=click.Choice(get_args(Work)), default="mimn",
                     show_default=True, help="What a worker keeps: profile and sub-sequences alone "
                     "(none), with a memory, or 2 KiB of floats and nothing else (toy)."),
        click.option("--distribution", type=click.Choice(get_args(Distribution)),
                     default="uniform", show_default=True,
                     help="Of the users; Zipf has the exponent 1.1."),
        click.option("--users", "n_users", type=click.IntRange(1), default=100_000,
                     show_default=True),
        click.option("--partitions", "n_partitions", type=click.IntRange(1, 1024), default=4,
                     show_default=True),
        click.option("--seed", type=int, default=1, show_default=True, help="Of the events."),
        click.option("--home", type=click.Path(path_type=Path),
                     help="Where to write. Default: the directory of temporary files."),
        click.option("--json", "as_json", is_flag=True, help="One JSON object."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@bench.command()
@_workload
@click.option("--events", "n_events", type=click.IntRange(1_000), default=5_000_000,
              show_default=True, help="In the topic before a run; 200 bytes each.")  # fmt: skip
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True)
@click.option("--peer", "peers", type=click.Choice(get_args(Peer)), multiple=True,
              help="Run this peer on the same events too; with --work toy.")  # fmt: skip
def engine(
    workers: int,
    runs: int,
    peers: Sequence[Peer],
    home: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Events a second from Kafka to durable states, with all that it costs.

    Starts a Kafka, fills a topic, and lets workers with empty states run over it: once, and again
    for each of --runs, in turn with the peers. A run is measured from the first consumed event to
    the checkpoint that holds the last one, with checkpoints and snapshots on. It should last a
    minute; give more --events where it does not.

    Times of stages are those of all threads; bytes of checkpoints are those of records, bytes of
    the disk what the process wrote in all. Exit status 1 if a peer was so slow that the
    comparison means nothing.
    """
    load = Workload(**given)
    check_peers(peers, load)
    with _filled(load, home) as contest:
        results = _run(contest, load, workers, runs, peers)
    slow = too_slow(load, results)
    if as_json:
        click.echo(json.dumps(as_values(load, workers, results, slow)))
    else:
        _show(Console(), load, results, slow)
    sys.exit(1 if slow else 0)


@bench.command()
@_workload
@click.option("--rate", type=click.FloatRange(1), default=20_000.0, show_default=True,
              help="Events a second: half of what `uic bench engine` finds.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(1), default=60.0, show_default=True)
def freshness(rate: float, seconds: float, home: Path | None, as_json: bool, **given: Any) -> None:
    """From a push to the state that shows it, while events arrive at a steady rate.

    Starts a Kafka, a worker and a sender. Five times a second an event of a new user is pushed and
    looked for in the state over HTTP; fifty times a second the state of a random user is read.
    The first ten seconds are not counted.
    """
    longest = WARM_UP_SECONDS + seconds + LONGEST_PROBE_SECONDS
    load = Workload(**given, n_events=int(rate * (longest + WARM_UP_SECONDS)))
    with _opened(load, home) as contest:
        told = measure_freshness(contest, load, rate, seconds).as_json()
    if as_json:
        click.echo(json.dumps(_finite(told)))
        return
    table = Table("", "", title=f"{load.title} at {rate:,.0f} a second")
    for name, figures in told.items():
        parts = figures.items() if isinstance(figures, dict) else [("", figures)]
        for part, value in parts:
            table.add_row(f"{name} {part}".replace("_", " "), f"{value:,.6g}")
    Console().print(table)


@bench.command()
@_workload
@click.option("--events", "n_events", type=click.IntRange(1_000), default=2_000_000,
              show_default=True, help="In the topic; one partition of it is measured.")  # fmt: skip
def limits(home: Path | None, as_json: bool, **given: Any) -> None:
    """Each part of the engine alone, by one thread: fetch, decode, scan, RocksDB.

    The whole cannot be faster than the slowest of them, nor than all of them together on the
    cores that there are.
    """
    load = Workload(**given)
    with _filled(load, home) as contest:
        found = measure_limits(contest.settings, load, contest.home)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    table = Table("", "events/s", title=f"{load.title}, each part alone by one thread")
    for name, rate in asdict(found).items():
        table.add_row(name, f"{rate:,.0f}")
    Console().print(table)


@contextmanager
def _opened(load: Workload, home: Path | None) -> Iterator[Contest]:
    """Start a Kafka with empty topics; everything is removed in the end, also by SIGTERM."""
    end_by_interrupt()
    with tempfile.TemporaryDirectory(prefix="uic-bench-", dir=home) as place:
        contest = Contest(load, Path(place) / "home", load_settings().cache_dir)
        try:
            contest.open()
            yield contest
        finally:
            contest.close()


@contextmanager
def _filled(load: Workload, home: Path | None) -> Iterator[Contest]:
    """Start a Kafka with all events in the topic."""
    with _opened(load, home) as contest:
        with _bar("filling the topic", load.n_events) as (advance, _):
            contest.fill(advance)
        yield contest


def _run(
    contest: Contest, load: Workload, workers: int, runs: int, peers: Sequence[Peer]
) -> Results:
    """Measure in turn, so that a slow minute of the machine meets all alike."""
    results: Results = {name: [] for name in (OURS, *peers)}
    for number in range(1, runs + 1):
        title = f"run {number} of {runs}"
        with _bar(f"{title}: {OURS}", load.n_events) as (_, reach):
            results[OURS].append(contest.ours(workers, reach))
        for peer in peers:
            with _bar(f"{title}: {peer}", None):
                results[peer].append(contest.peer(peer))
    return results


@contextmanager
def _bar(title: str, total: int | None) -> Iterator[tuple[Callable[[int], None], ...]]:
    """Show a bar; yield what advances it by some and what sets it."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(TextColumn("{task.description}"), *columns, console=console) as progress:
        task = progress.add_task(title, total=total)
        yield (
            lambda n: progress.advance(task, n),
            lambda n: progress.update(task, completed=n),
        )


def too_slow(load: Workload, results: Results) -> list[str]:
    """Return what is wrong with the peers of a measurement."""
    found = []
    for name, runs in results.items():
        usual = USUAL_RATES.get((name, load.distribution, load.n_users))
        if usual is None:
            continue
        median = statistics.median(run.rate for run in runs)
        if median < LEAST_SHARE * usual:
            found.append(f"{name}: {median:,.0f} events/s, usually {usual:,.0f}")
    return found


def ratios(results: Results, peer: str) -> list[float]:
    """Return how many times the rate of a peer ours is, run by run."""
    pairs = zip(results[OURS], results[peer], strict=True)
    return [ours.rate / theirs.rate for ours, theirs in pairs]


def as_values(load: Workload, workers: int, results: Results, slow: list[str]) -> dict[str, Any]:
    """Return a measurement as JSON-able values."""
    return {
        "work": load.work,
        "distribution": load.distribution,
        "users": load.n_users,
        "partitions": load.n_partitions,
        "workers": workers,
        "runs": {name: [_finite(run.as_json()) for run in runs] for name, runs in results.items()},
        "ratios": {name: ratios(results, name) for name in results if name != OURS},
        "peers_too_slow": slow,
    }


def _finite(value: Any) -> Any:
    """Return values without infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return None if isinstance(value, float) and math.isinf(value) else value


def _show(console: Console, load: Workload, results: Results, slow: list[str]) -> None:
    table = Table("", "minimum", "median", "maximum", title=load.title)
    for name, runs in results.items():
        for label, values in _rows(name, runs):
            low, middle, high = min(values), statistics.median(values), max(values)
            table.add_row(label, *(f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"
                                   for value in (low, middle, high)))  # fmt: skip
    for name in results:
        if name != OURS:
            times = ratios(results, name)
            figures = (min(times), statistics.median(times), max(times))
            table.add_row(f"{OURS} / {name}", *(f"{value:.2f}" for value in figures))
    console.print(table)
    shortest = min(run.seconds for run in results[OURS])
    if shortest < LEAST_SECONDS:
        console.print(f"The shortest run lasted {shortest:.0f} s: --events for a minute say more.")
    for line in slow:
        console.print(f"Not comparable, {line}: is something else running here?", style="red")


def _rows(name: str, runs: Sequence[Measured]) -> Iterator[tuple[str, list[float]]]:
    """Yield the rows of one contestant: a label, and the figure of each run."""
    told = [run.as_json() for run in runs]
    yield f"{name}, events/s", [run.rate for run in runs]
    for key, label in (
        ("cpu_us_per_event", "CPU of {}, us an event"),
        ("stage_us_per_event", "{}, us an event"),
        ("bytes_per_event", "bytes of {} an event"),
        ("checkpoint_interval_seconds", "checkpoint interval, {}, s"),
        ("loop_late_seconds", "event loop late, {}, s"),
    ):
        for part in told[0][key]:
            text = label.format(part.replace("_", " "))
            yield f"  {text}", [one[key][part] for one in told]
    peaks = [run.peak_memory_bytes / 2**20 for run in runs]
    if any(peaks):
        yield "  peak memory, MiB", peaks
