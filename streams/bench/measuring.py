"""What one run of workers over a filled topic costs, as their own metrics and the system say."""

import json
import math
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from interest_center.core.errors import InterestCenterError
from streams.processes import Child, last_lines

POLL_SECONDS = 0.25
#: Without a new offset for so long, something is wrong.
STALLED_SECONDS = 120.0
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_CLOCK_TICKS = 100  # of /proc, on every Linux that Kafka runs on


class NotMeasuredError(InterestCenterError):
    """A run did not come to its end."""


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        events: Events between the first look at consuming workers and the last durable one.
        seconds: Time between the two.
        cpu_seconds: CPU time in it, of the workers and of the broker.
        stage_seconds: Time of the workers in decode, apply, checkpoint, over all threads.
        written_bytes: Bytes of records in checkpoints, and bytes that went to the disk.
        checkpoint_interval: Seconds between checkpoints of a partition: the mean, and a bound that
            99 % keep.
        loop_late: Bounds in seconds that 99 % and all of the event loop's timers kept.
        peak_memory_bytes: Of the largest worker.
    """

    events: int
    seconds: float
    cpu_seconds: dict[str, float]
    stage_seconds: dict[str, float] = field(default_factory=dict)
    written_bytes: dict[str, float] = field(default_factory=dict)
    checkpoint_interval: dict[str, float] = field(default_factory=dict)
    loop_late: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: int = 0

    @property
    def rate(self) -> float:
        """Events a second, durable."""
        return self.events / self.seconds

    def as_json(self) -> dict[str, Any]:
        """Return all figures, those of an event by event."""
        n = max(self.events, 1)
        return {
            "events": self.events,
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.rate, 1),
            "cpu_us_per_event": {k: round(1e6 * v / n, 2) for k, v in self.cpu_seconds.items()},
            "stage_us_per_event": {k: round(1e6 * v / n, 2) for k, v in self.stage_seconds.items()},
            "bytes_per_event": {k: round(v / n, 1) for k, v in self.written_bytes.items()},
            "checkpoint_interval_seconds": self.checkpoint_interval,
            "loop_late_seconds": self.loop_late,
            "peak_memory_bytes": self.peak_memory_bytes,
        }


@dataclass(frozen=True)
class Sample:
    """Positions, metrics and processes at one moment."""

    at: float
    position: int
    metrics: dict[str, dict[str, float]]
    cpu_seconds: dict[str, float]
    disk_bytes: float


def measure(
    workers: Mapping[str, Child], broker_pid: int, end: int, progress: Callable[[int], None]
) -> Measured:
    """Watch workers from the first consumed event until all are durable.

    Args:
        workers: By the address of their HTTP.
        broker_pid: Whose CPU time is counted too.
        end: Sum of the end offsets.
        progress: Told how many events are durable.

    Raises:
        NotMeasuredError: A worker ended, or nothing moved for two minutes.
    """
    first: Sample | None = None
    moved, last = time.monotonic(), (-1, -1)
    while True:
        position, durable, all_busy = _positions(workers)
        if first is None and position > 0 and all_busy:
            first = _sample(workers, broker_pid, position)
        progress(durable)
        if durable >= end:
            break
        if (position, durable) != last:
            moved, last = time.monotonic(), (position, durable)
        elif time.monotonic() - moved > STALLED_SECONDS:
            raise NotMeasuredError(f"stuck at {durable:,} of {end:,} events" + _logs(workers))
        time.sleep(POLL_SECONDS)
    if first is None or first.position >= end:
        raise NotMeasuredError(
            f"{end:,} events were consumed before the first look", hint="give more --events"
        )
    return between(first, _sample(workers, broker_pid, end), workers)


def _positions(workers: Mapping[str, Child]) -> tuple[int, int, bool]:
    """Return applied and durable events, and whether every worker has a partition."""
    applied = durable = 0
    busy = []
    for url, child in workers.items():
        if child.process.poll() is not None:
            raise NotMeasuredError(f"a worker ended:\n{last_lines(child.log)}")
        mine = [one for one in _json(f"{url}/v1/partitions")["partitions"] if one["mine"]]
        open_ones = [one for one in mine if one["position"] is not None]
        applied += sum(one["position"] for one in open_ones)
        durable += sum(one["durable_watermark"] for one in open_ones)
        busy.append(bool(open_ones))
    return applied, durable, all(busy)


def look(workers: Mapping[str, Child], broker_pid: int) -> Sample:
    """Return where workers are now, and what they and the broker have cost so far."""
    return _sample(workers, broker_pid, _positions(workers)[0])


def between(first: Sample, last: Sample, workers: Mapping[str, Child]) -> Measured:
    """Return what happened between two looks."""
    grown = {
        name: {key: value - first.metrics.get(name, {}).get(key, 0.0) for key, value in of.items()}
        for name, of in last.metrics.items()
    }
    interval = grown.get("uic_checkpoint_interval_seconds", {})
    late = grown.get("uic_loop_late_seconds", {})
    return Measured(
        events=last.position - first.position,
        seconds=last.at - first.at,
        cpu_seconds={k: v - first.cpu_seconds[k] for k, v in last.cpu_seconds.items()},
        stage_seconds={
            "decode": grown.get("uic_batch_seconds", {}).get("sum stage=decode", 0.0),
            "apply": grown.get("uic_batch_seconds", {}).get("sum stage=apply", 0.0),
            "checkpoint": grown.get("uic_checkpoint_seconds", {}).get("sum", 0.0),
        },
        written_bytes={
            "checkpoints": grown.get("uic_checkpoint_bytes", {}).get("total", 0.0),
            "disk": last.disk_bytes - first.disk_bytes,
        },
        checkpoint_interval={
            "mean": round(interval.get("sum", 0.0) / max(interval.get("count", 0.0), 1.0), 3),
            "p99_at_most": bound_of(interval, 0.99),
        },
        loop_late={"p99_at_most": bound_of(late, 0.99), "worst_at_most": bound_of(late, 1.0)},
        peak_memory_bytes=max(peak_memory(child.process.pid) for child in workers.values()),
    )


def _sample(workers: Mapping[str, Child], broker_pid: int, position: int) -> Sample:
    at, pids = time.perf_counter(), [child.process.pid for child in workers.values()]
    cpu = {"workers": sum(map(cpu_seconds, pids)), "broker": cpu_seconds(broker_pid)}
    disk = sum(map(_disk_bytes, pids))
    texts = [_fetch(f"{url}/metrics").decode() for url in workers]
    families = (family for text in texts for family in text_string_to_metric_families(text))
    return Sample(at, position, sums_of(families), cpu, disk)


def sums_of(families: Iterable[Metric]) -> dict[str, dict[str, float]]:
    """Return the samples of metrics, added up over workers and partitions.

    Returns:
        Of each metric: ``total`` of a counter, ``sum``, ``count`` and ``le BOUND`` of a histogram;
        those of a stage also as ``sum stage=NAME``.
    """
    found = dict[str, dict[str, float]]()
    for family in families:
        of = found.setdefault(family.name, {})
        for sample in family.samples:
            kind = sample.name.removeprefix(family.name).lstrip("_")
            keys = [f"le {sample.labels['le']}" if kind == "bucket" else kind]
            if "stage" in sample.labels and kind != "bucket":
                keys.append(f"{kind} stage={sample.labels['stage']}")
            for key in keys:
                of[key] = of.get(key, 0.0) + sample.value
    return found


def bound_of(histogram: Mapping[str, float], share: float) -> float:
    """Return the least bound of a histogram's buckets that a share of its values keeps.

    Infinity when only the last bucket holds them; 0 without values.
    """
    count = histogram.get("count", 0.0)
    if not count:
        return 0.0
    bounds = sorted((float(key[3:]), n) for key, n in histogram.items() if key.startswith("le "))
    return next((bound for bound, n in bounds if n >= share * count), math.inf)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, all threads, since its start."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS


def _disk_bytes(pid: int) -> int:
    return _number(Path(f"/proc/{pid}/io"), "write_bytes:")


def peak_memory(pid: int) -> int:
    """Return the most memory in bytes that a process has had."""
    return 1024 * _number(Path(f"/proc/{pid}/status"), "VmHWM:")


def _number(path: Path, name: str) -> int:
    """Return the number behind a name in a file of /proc."""
    for line in path.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise NotMeasuredError(f"{path} tells no {name}")


def _json(url: str) -> Any:
    return json.loads(_fetch(url))


def _fetch(url: str) -> bytes:
    try:
        with _OPENER.open(url, timeout=30) as answer:
            content: bytes = answer.read()
            return content
    except (OSError, urllib.error.URLError) as error:
        raise NotMeasuredError(f"{url} does not answer: {error}") from error


def _logs(workers: Mapping[str, Child]) -> str:
    return "".join(f"\n{last_lines(child.log)}" for child in workers.values())
